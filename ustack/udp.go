package ustack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// PacketConn sends and receives UDP datagrams. It is a net.PacketConn.
type PacketConn struct {
	st   *Stack
	at   endpoint
	addr *net.UDPAddr

	mu      sync.Mutex
	queue   []received // from first on
	first   int
	bytes   int    // of the memory of the frames in queue
	drops   uint64 // datagrams that found no room
	closed  bool
	waiting bool
	ready   chan struct{}
	bell
	remote netip.AddrPort // of a connected one: all come from there

	readDeadline, writeDeadline deadline
}

var _ net.PacketConn = (*PacketConn)(nil)

// received is a datagram: f holds its payload.
type received struct {
	f    *frame.Frame
	from netip.AddrPort
}

// packetsMax bounds what waits to be read, in bytes of memory (Linux: rmem_default).
const packetsMax = 212992

// ListenPacket listens for UDP datagrams on an address, such as ":53", as Listen does.
func (st *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	at, err := st.parseLocal("udp", network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, &net.OpError{Op: "listen", Net: network, Err: errClosedStack}
	}
	if at.port == 0 {
		for p := portFirst; p <= portLast && at.port == 0; p++ {
			if st.packets[endpoint{at.addr, uint16(p)}] == nil {
				at.port = uint16(p)
			}
		}
	}
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.addr.Netip(), at.port))
	if at.port == 0 || st.packets[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: os.NewSyscallError("bind", errInUse)}
	}
	p := &PacketConn{st: st, at: at, addr: addr, ready: make(chan struct{}, 1)}
	st.packets[at] = p
	return p, nil
}

// datagram is UDP's side of demultiplexing. f begins with the IP header.
func (s *shard) datagram(f *frame.Frame, ip *wire.IP, now int64) {
	f.TrimFront(ip.HeaderLen)
	h, fault := wire.ParseUDP(f.Bytes())
	if fault != wire.OK {
		s.counters[udpInErrors]++
		s.reject(f, fault)
		return
	}
	f.Truncate(h.Length)
	if h.Checksum == 0 && ip.Is6() || h.Checksum != 0 && !verified(f, ip) {
		s.counters[udpInErrors]++
		s.reject(f, wire.UDPChecksum)
		return
	}
	p := s.st.packetConn(ip, &h, true)
	if p == nil {
		s.counters[udpNoPorts]++
		f.Prepend(ip.HeaderLen)
		s.unreachable(f, ip, portUnreachable, now)
		return
	}
	s.counters[udpIn]++
	f.TrimFront(wire.UDPLen)
	f = s.compact(f)
	woke, ok := p.put(received{f, netip.AddrPortFrom(ip.Src.Netip(), h.SrcPort)})
	s.woke = s.woke || woke
	if !ok {
		s.drop(f, udpRcvbuf)
	}
}

// put queues a datagram. It returns false if there is no room.
func (p *PacketConn) put(d received) (woke, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.bytes+d.f.Cap() > max(packetsMax, d.f.Cap()) {
		p.drops++
		return false, false
	}
	p.queue = append(p.queue, d)
	p.bytes += d.f.Cap()
	woke = p.waiting
	p.waiting = false
	signal(p.ready) // another reader may wait too
	if woke {
		p.notify()
	}
	return woke, true
}

// pop takes the next datagram off the queue, which is not empty. p.mu is held.
func (p *PacketConn) pop() received {
	d := p.queue[p.first]
	p.queue[p.first] = received{}
	p.bytes -= d.f.Cap()
	switch p.first++; {
	case p.first == len(p.queue):
		p.queue, p.first = p.queue[:0], 0
	case p.first >= len(p.queue)/2:
		n := copy(p.queue, p.queue[p.first:])
		clear(p.queue[n:])
		p.queue, p.first = p.queue[:n], 0
	}
	return d
}

// take copies a datagram to b and frees it.
func (d *received) take(b []byte) int {
	n := copy(b, d.f.Bytes())
	d.f.Next = nil
	frame.Free(d.f)
	return n
}

// ReadFrom reads a datagram; what b has no room for is lost. The address is a
// *net.UDPAddr.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromAddrPort is ReadFrom with an address that needs no memory.
func (p *PacketConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			signal(p.ready) // for others that wait
			return 0, netip.AddrPort{}, p.fail("read", net.ErrClosed)
		}
		if p.readDeadline.passed.Load() {
			p.mu.Unlock()
			return 0, netip.AddrPort{}, p.fail("read", os.ErrDeadlineExceeded)
		}
		if len(p.queue) > 0 {
			d := p.pop()
			if len(p.queue) > 0 {
				signal(p.ready) // there may be another reader
			}
			p.mu.Unlock()
			return d.take(b), d.from, nil
		}
		p.waiting = true
		p.mu.Unlock()
		select {
		case <-p.ready:
		case <-p.readDeadline.wait():
		}
	}
}

// WriteTo sends a datagram to a *net.UDPAddr.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, p.fail("write", fmt.Errorf("%v is no UDP address", to))
	}
	return p.WriteToAddrPort(b, a.AddrPort())
}

// WriteToAddrPort is WriteTo with an address that needs no memory. A datagram that is
// longer than the path takes is sent in fragments.
func (p *PacketConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if p.writeDeadline.passed.Load() {
		return 0, p.fail("write", os.ErrDeadlineExceeded)
	}
	dst := wire.AddrOf(to.Addr())
	src, _, err := p.st.source(dst)
	if p.at.addr != (wire.Addr{}) {
		src = p.at.addr
	}
	if most := udpMax(&dst); err == nil && len(b) > most {
		err = fmt.Errorf("datagram of %d bytes, %d are possible: %w", len(b), most, errTooLong)
	}
	if err != nil {
		return 0, p.fail("write", err)
	}
	s := p.st.shards[int(to.Port())%len(p.st.shards)]
	s.call(func(now int64) {
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed {
			err = net.ErrClosed
			return
		}
		s.sendUDP(b, src, dst, p.at.port, to.Port(), now)
	})
	if err != nil {
		return 0, p.fail("write", err)
	}
	return len(b), nil
}

// udpMax is the longest payload of a datagram to dst.
func udpMax(dst *wire.Addr) int {
	if dst.Is4() {
		return 65535 - wire.IP4Len - wire.UDPLen
	}
	return 65535 - wire.UDPLen // the length of an IPv6 header is not part of it
}

// sendUDP sends a datagram, or drops it if there is no frame to be had.
func (s *shard) sendUDP(b []byte, src, dst wire.Addr, from, to uint16, now int64) {
	s.counters[udpOut]++
	p := wire.Pseudo(&src, &dst, wire.ProtoUDP, wire.UDPLen+len(b))
	h := wire.UDP{SrcPort: from, DstPort: to, Length: wire.UDPLen + len(b)}
	ip := wire.IP{Src: src, Dst: dst, Proto: wire.ProtoUDP}
	if wire.IPHeaderLen(&dst)+h.Length > s.st.mtu(&dst, now) {
		var head [wire.UDPLen]byte
		h.Put(head[:])
		p.Add(head[:])
		p.Add(b)
		putUDPChecksum(head[:], p)
		s.sendLong(ip, head[:], b, now)
		return
	}
	f := s.pool.One()
	if f == nil {
		s.counters[txNoFrame]++
		return
	}
	body := f.Extend(len(b))
	h.Put(f.Prepend(wire.UDPLen))
	p.Add(f.Bytes()[:wire.UDPLen])
	p.CopyAdd(body, b)
	putUDPChecksum(f.Bytes(), p)
	s.sendIP(f, &ip, nil, now)
}

// putUDPChecksum fills in the checksum of a header whose field is 0.
func putUDPChecksum(b []byte, p memcopy.Partial) {
	sum := p.Checksum()
	if sum == 0 {
		sum = 0xffff
	}
	putChecksum(b[wire.UDPChecksumAt:], sum)
}

func (p *PacketConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: p.addr, Err: err}
}

// LocalAddr returns the address listened on, a *net.UDPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return p.addr }

// Close stops listening and drops what was not read.
func (p *PacketConn) Close() error {
	p.st.mu.Lock()
	if k := p.key(); p.st.connected[k] == p {
		delete(p.st.connected, k)
	} else if p.st.packets[p.at] == p {
		delete(p.st.packets, p.at)
	}
	p.st.mu.Unlock()
	if !p.shut() {
		return p.fail("close", net.ErrClosed)
	}
	return nil
}

// shut does what Close does, but for the stack's table.
func (p *PacketConn) shut() (first bool) {
	p.mu.Lock()
	first, p.closed = !p.closed, true
	queue := p.queue[p.first:]
	p.queue, p.first, p.bytes = nil, 0, 0
	p.mu.Unlock()
	for _, d := range queue {
		d.f.Next = nil
		frame.Free(d.f)
	}
	signal(p.ready)
	p.notify()
	return first
}

// SetDeadline sets both deadlines.
func (p *PacketConn) SetDeadline(t time.Time) error {
	p.readDeadline.at(t)
	p.writeDeadline.at(t)
	return nil
}

// SetReadDeadline sets when ReadFrom fails with os.ErrDeadlineExceeded.
func (p *PacketConn) SetReadDeadline(t time.Time) error {
	p.readDeadline.at(t)
	return nil
}

// SetWriteDeadline sets when WriteTo fails; it never blocks.
func (p *PacketConn) SetWriteDeadline(t time.Time) error {
	p.writeDeadline.at(t)
	return nil
}
