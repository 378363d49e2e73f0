package ustack

import (
	"net"
	"net/netip"
	"os"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// mine reports whether packets to an address are taken.
func (st *Stack) mine(a *wire.Addr) bool {
	return st.own[*a] || st.cfg.AnyAddress && !a.Multicast() && !a.Unspecified() && *a != limitedBroadcast
}

var limitedBroadcast = wire.Addr4([]byte{255, 255, 255, 255})

// ListenAny listens for TCP connections to any port that has no listener of its own: to any
// address at all with Config.AnyAddress, else to the stack's. LocalAddr of a connection
// tells where its client wanted to go.
func (st *Stack) ListenAny() (*Listener, error) { return st.listenAt("tcp", endpoint{}) }

// listenAt makes the listener of an endpoint.
func (st *Stack) listenAt(network string, at endpoint) (*Listener, error) {
	l := &Listener{
		st: st, at: at, addr: tcpAddr(at.addr, at.port),
		backlog: int64(st.cfg.TCP.Backlog), ready: make(chan struct{}, 1),
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, &net.OpError{Op: "listen", Net: network, Err: errClosedStack}
	}
	if st.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: l.addr, Err: os.NewSyscallError("bind", errInUse)}
	}
	st.listeners[at] = l
	return l, nil
}

// UDPListener accepts flows of UDP datagrams as if they were connections.
type UDPListener struct {
	st    *Stack
	queue chan UDPConn
	done  chan struct{}
	ended bool
}

// udpBacklog is how many flows may wait to be accepted.
const udpBacklog = 128

// ListenAnyUDP makes a connected socket of each flow of datagrams to any port that has no
// socket of its own: to any address at all with Config.AnyAddress, else to the stack's. The
// first datagram is there to be read when the flow is accepted. A flow has no end: its socket
// is the caller's to close.
func (st *Stack) ListenAnyUDP() (*UDPListener, error) {
	l := &UDPListener{st: st, queue: make(chan UDPConn, udpBacklog), done: make(chan struct{})}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: errClosedStack}
	}
	if st.anyUDP != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", errInUse)}
	}
	st.anyUDP = l
	return l, nil
}

// Accept returns the next flow. LocalAddr tells where its client wanted to go.
func (l *UDPListener) Accept() (UDPConn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return UDPConn{}, &net.OpError{Op: "accept", Net: "udp", Err: net.ErrClosed}
	}
}

// meet makes the socket of a flow whose first datagram has come, or returns nil. st.mu is held.
func (l *UDPListener) meet(k flowKey) *PacketConn {
	if l.ended || l.st.closed {
		return nil
	}
	p := &PacketConn{
		st: l.st, at: endpoint{k.local, k.localPort}, remote: netip.AddrPortFrom(k.remote.Netip(), k.remotePort), ready: make(chan struct{}, 1),
		addr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(k.local.Netip(), k.localPort)),
	}
	select {
	case l.queue <- UDPConn{p}:
		l.st.connected[k] = p
		return p
	default: // more come than are accepted
		return nil
	}
}

// Close stops listening. Flows that were not accepted are dropped.
func (l *UDPListener) Close() error {
	l.st.mu.Lock()
	if l.st.anyUDP == l {
		l.st.anyUDP = nil
	}
	first := !l.ended
	l.ended = true
	l.st.mu.Unlock()
	if !first {
		return &net.OpError{Op: "close", Net: "udp", Err: net.ErrClosed}
	}
	close(l.done)
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
		default:
			return nil
		}
	}
}
