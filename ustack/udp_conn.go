package ustack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// UDPConn is a connected [PacketConn]: it sends to one address and receives from that
// alone. It is a net.Conn.
type UDPConn struct{ *PacketConn }

var _ net.Conn = UDPConn{}

// DialUDP makes a connected UDP socket. The zero local address is the one that leads to
// remote, port 0 picks a free one. Several connected sockets may share a local port, with
// each other and with a [PacketConn] that then gets what is for none of them.
func (st *Stack) DialUDP(local, remote netip.AddrPort) (UDPConn, error) {
	dst := wire.AddrOf(remote.Addr())
	fail := func(err error) (UDPConn, error) {
		return UDPConn{}, &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(remote), Err: err}
	}
	src, _, err := st.source(dst)
	if err != nil {
		return fail(err)
	}
	if local.Addr().IsValid() && !local.Addr().IsUnspecified() {
		if src = wire.AddrOf(local.Addr()); !st.own[src] {
			return fail(fmt.Errorf("%v is no address of this stack: %w", local.Addr(), errNoPort))
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return fail(errClosedStack)
	}
	k := flowKey{local: src, remote: dst, localPort: local.Port(), remotePort: remote.Port()}
	if k.localPort == 0 {
		for p := portFirst; p <= portLast && k.localPort == 0; p++ {
			port := uint16(p)
			k.localPort = port
			if st.packets[endpoint{src, port}] != nil || st.packets[endpoint{port: port}] != nil || st.connected[k] != nil {
				k.localPort = 0
			}
		}
	}
	if k.localPort == 0 || st.connected[k] != nil {
		return fail(os.NewSyscallError("bind", errInUse))
	}
	at := endpoint{src, k.localPort}
	p := &PacketConn{
		st: st, at: at, remote: netip.AddrPortFrom(dst.Netip(), remote.Port()), ready: make(chan struct{}, 1),
		addr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(src.Netip(), at.port)),
	}
	st.connected[k] = p
	return UDPConn{p}, nil
}

// key names a connected socket; of any other it is no key of Stack.connected.
func (p *PacketConn) key() flowKey {
	k := flowKey{local: p.at.addr, localPort: p.at.port}
	if p.remote.IsValid() {
		k.remote, k.remotePort = wire.AddrOf(p.remote.Addr()), p.remote.Port()
	}
	return k
}

// packetConn is who a datagram is for, or nil. Where there is a listener for any, one that has come
// begins a flow.
func (st *Stack) packetConn(ip *wire.IP, h *wire.UDP, come bool) *PacketConn {
	st.mu.Lock()
	defer st.mu.Unlock()
	k := flowKey{local: ip.Dst, remote: ip.Src, localPort: h.DstPort, remotePort: h.SrcPort}
	if len(st.connected) > 0 {
		if p := st.connected[k]; p != nil {
			return p
		}
	}
	if st.own[ip.Dst] || ip.Dst.Multicast() {
		if p := st.packets[endpoint{ip.Dst, h.DstPort}]; p != nil {
			return p
		}
		if p := st.packets[endpoint{port: h.DstPort}]; p != nil {
			return p
		}
	}
	if come && st.anyUDP != nil && !ip.Dst.Multicast() {
		return st.anyUDP.meet(k)
	}
	return nil
}

// Read reads a datagram; what b has no room for is lost.
func (c UDPConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(b)
	return n, err
}

// Write sends a datagram.
func (c UDPConn) Write(b []byte) (int, error) { return c.WriteToAddrPort(b, c.remote) }

// RemoteAddr returns the address of the other end, a *net.UDPAddr.
func (c UDPConn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.remote) }

// errNotConnected is what net gives for it.
var errNotConnected = errors.New("use of WriteTo with pre-connected connection")

// WriteTo refuses: the connection knows where to.
func (c UDPConn) WriteTo([]byte, net.Addr) (int, error) { return 0, c.fail("write", errNotConnected) }

// Notify makes the stack call f where it would wake a blocked reader; nil ends it. See
// [TCPConn.Notify].
func (p *PacketConn) Notify(f func()) {
	if f == nil {
		p.ring.Store(nil)
		return
	}
	p.ring.Store(&f)
}

// TryRead is ReadFromAddrPort that does not wait.
func (p *PacketConn) TryRead(b []byte) (int, netip.AddrPort, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return 0, netip.AddrPort{}, p.fail("read", net.ErrClosed)
	}
	if len(p.queue) == 0 {
		p.waiting = true
		p.mu.Unlock()
		return 0, netip.AddrPort{}, ErrWouldBlock
	}
	d := p.pop()
	p.mu.Unlock()
	return d.take(b), d.from, nil
}

// Drops returns how many datagrams came that the socket had no room for.
func (p *PacketConn) Drops() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drops
}

// Ready reports whether there is a datagram to read, or an error, and asks for a
// notification if not.
func (p *PacketConn) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.queue) > 0 {
		return true
	}
	p.waiting = true
	return false
}
