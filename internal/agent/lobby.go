package agent

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// lobbyRoom is how many connections may wait to show that they may come in.
const lobbyRoom = 64

// lobby holds the connections that are not admitted yet. It is never closed to a new one:
// the oldest makes room, and it is one of the source that holds the most, so that a stranger
// who fills the lobby from one address only crowds out himself.
type lobby struct {
	mu      sync.Mutex
	waiting []*guest // oldest first
}

// guest is a connection in the lobby.
type guest struct {
	conn    net.Conn
	source  netip.Prefix
	crowded chan struct{} // closed with the connection, for the sake of a newer one
}

// enter takes a new connection in and closes another one if there is no room.
func (l *lobby) enter(conn net.Conn) *guest {
	g := &guest{conn: conn, source: source(conn.RemoteAddr()), crowded: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, g)
	if len(l.waiting) <= lobbyRoom {
		return g
	}
	held := map[netip.Prefix]int{}
	most := 0
	for _, w := range l.waiting {
		held[w.source]++
		most = max(most, held[w.source])
	}
	out := slices.IndexFunc(l.waiting, func(w *guest) bool { return held[w.source] == most })
	w := l.waiting[out]
	l.waiting = slices.Delete(l.waiting, out, out+1)
	close(w.crowded)
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset: nothing of it stays in this kernel
	}
	w.conn.Close()
	return g
}

// leave ends a guest's stay and reports whether it was still in.
func (l *lobby) leave(g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, g); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	select {
	case <-g.crowded:
		return false
	default:
		return true
	}
}

// source is whom a connection is put down to: an IPv4 address, or the IPv6 network of a
// site's subnet, all of whose addresses one host may take.
func source(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // a UNIX socket
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // bits are in range
	return p
}
