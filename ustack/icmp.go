package ustack

import (
	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// icmp is ICMP (RFC 792, 1122) and ICMPv6 (RFC 4443). f begins with the IP header.
func (s *shard) icmp(f *frame.Frame, ip *wire.IP, from wire.HW, now int64) {
	s.counters[icmpIn]++
	f.TrimFront(ip.HeaderLen)
	h, fault := wire.ParseICMP(f.Bytes())
	if fault != wire.OK {
		s.reject(f, fault)
		return
	}
	var p memcopy.Partial
	if ip.Is6() {
		p = wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoICMP6, f.Len())
	}
	p.Add(f.Bytes())
	if f.Offload.Checksum == frame.ChecksumFull && p.Fold() != 0xffff {
		s.reject(f, wire.ICMPChecksum)
		return
	}
	if ip.Is6() {
		s.icmp6(f, ip, &h, from, now)
		return
	}
	switch h.Type {
	case wire.ICMPEcho:
		s.echo(f, ip, wire.ICMPEchoReply, now)
	case wire.ICMPUnreachable:
		e := report{final: h.Code == wire.ICMPPortUnreachable || h.Code == wire.ICMPProtocolUnreachable}
		if h.Code == wire.ICMPFragmentNeeded {
			e.tooLong, e.mtu = true, int(h.Rest&0xffff)
		}
		s.errorArrived(f, ip, e)
	default:
		s.pool.Put(f)
	}
}

func (s *shard) icmp6(f *frame.Frame, ip *wire.IP, h *wire.ICMP, from wire.HW, now int64) {
	switch h.Type {
	case wire.ICMP6Echo:
		s.echo(f, ip, wire.ICMP6EchoReply, now)
	case wire.ICMP6Solicitation, wire.ICMP6Advertisement:
		s.ndp(f, ip, h.Type, from)
	case wire.ICMP6RouterAdvert:
		if r, fault := wire.ParseRouterAdvert(f.Bytes(), &ip.Src, ip.TTL); fault != wire.OK {
			s.fault(fault)
		} else {
			s.advertised(ip, &r, now)
		}
		s.pool.Put(f)
	case wire.ICMP6TooBig:
		s.errorArrived(f, ip, report{tooLong: true, mtu: int(min(h.Rest, 1<<16))})
	case wire.ICMP6Unreachable:
		s.errorArrived(f, ip, report{final: h.Code == wire.ICMP6PortUnreachable})
	default:
		s.pool.Put(f)
	}
}

// echo answers a ping with its own frame.
func (s *shard) echo(f *frame.Frame, ip *wire.IP, reply uint8, now int64) {
	if !s.st.own[ip.Dst] || !s.limits.errors.take(now) {
		s.drop(f, icmpRateLimited)
		return
	}
	b := f.Bytes()
	b[0], b[2], b[3] = reply, 0, 0
	f.Offload = frame.Offload{}
	out := wire.IP{Src: ip.Dst, Dst: ip.Src, Proto: ip.Proto}
	s.sealICMP(f, &out)
	if f.Headroom() < headroom/2 || wire.IPHeaderLen(&out.Dst)+f.Len() > s.st.mtu(&out.Dst, now) {
		s.sendLong(out, f.Bytes(), nil, now) // it came in fragments
		s.pool.Put(f)
		return
	}
	s.sendIP(f, &out, nil, now)
}

// sealICMP fills in the checksum of a message whose field is 0.
func (s *shard) sealICMP(f *frame.Frame, ip *wire.IP) {
	s.counters[icmpOut]++
	var p memcopy.Partial
	if ip.Is6() {
		p = wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoICMP6, f.Len())
	}
	p.Add(f.Bytes())
	putChecksum(f.Bytes()[wire.ICMPChecksumAt:], p.Checksum())
}

// report is what an error message says of a packet.
type report struct {
	final   bool // nobody is there to take it
	tooLong bool // for the path, which takes mtu bytes; 0: the router does not say
	mtu     int
}

// errorArrived tells who sent a packet what became of it. Reports are believed only if
// they quote a packet that may be on its way (RFC 5927): of a connection, with a
// sequence number that is outstanding; of UDP, from a port that is open.
func (s *shard) errorArrived(f *frame.Frame, ip *wire.IP, e report) {
	q, fault := wire.ParseQuote(f.Bytes()[wire.ICMPLen:])
	if fault != wire.OK || !s.st.mine(&q.Src) {
		s.reject(f, wire.ICMPQuote)
		return
	}
	switch q.Proto {
	case wire.ProtoTCP:
		k := flowKey{local: q.Src, remote: q.Dst, localPort: q.SrcPort, remotePort: q.DstPort}
		c := s.flows[k]
		if c == nil && s.handOverFlow(&k, f, ip) {
			return
		}
		if c != nil {
			s.reported(c, q.Seq, e, s.st.now())
		}
	case wire.ProtoUDP:
		back := wire.IP{Src: q.Dst, Dst: q.Src} // as an answer would come
		if e.tooLong && s.st.packetConn(&back, &wire.UDP{SrcPort: q.DstPort, DstPort: q.SrcPort}, false) != nil {
			now := s.st.now()
			s.st.shorten(q.Dst, e.limit(s.st.mtu(&q.Dst, now)), now)
		}
	}
	s.pool.Put(f)
}

// limit is what the path takes, which did not take a packet of mtu bytes.
func (e *report) limit(mtu int) int {
	if e.mtu == 0 {
		return below(mtu)
	}
	return e.mtu
}

// reported tells a connection what became of its packet that began at seq.
func (s *shard) reported(c *TCPConn, seq uint32, e report, now int64) {
	remote := &c.key.remote
	switch {
	case e.tooLong:
		mtu := e.limit(c.tcp.PathSize() + wire.IPHeaderLen(remote) + wire.TCPLen)
		if !c.tcp.PathMTU(now, seq, mss(mtu, remote)) {
			return
		}
		s.st.shorten(*remote, mtu, now)
	case e.final:
		c.tcp.Unreachable(seq, &s.out)
	default:
		return
	}
	s.finish(c, now)
}

// kinds of errors that the stack sends.
type refusal uint8

const (
	portUnreachable refusal = iota
	protocolUnreachable
)

// unreachable answers a packet, which f begins with the IP header of, with an error
// that quotes it.
func (s *shard) unreachable(f *frame.Frame, ip *wire.IP, what refusal, now int64) {
	defer s.pool.Put(f)
	if ip.Dst.Multicast() || ip.Src.Unspecified() || !s.limits.errors.take(now) {
		return
	}
	e := s.pool.One()
	if e == nil {
		return
	}
	h := wire.ICMP{Type: wire.ICMPUnreachable, Code: wire.ICMPPortUnreachable}
	most, proto := 576, uint8(wire.ProtoICMP) // RFC 1812, 4.3.2.3
	if what == protocolUnreachable {
		h.Code = wire.ICMPProtocolUnreachable
	}
	if ip.Is6() {
		most, proto = 1280, wire.ProtoICMP6 // RFC 4443, 2.4
		h = wire.ICMP{Type: wire.ICMP6Unreachable, Code: wire.ICMP6PortUnreachable}
		if what == protocolUnreachable {
			h = wire.ICMP{Type: wire.ICMP6Parameter, Code: 1, Rest: uint32(ip.UnfragmentLen)}
		}
	}
	quote := f.Bytes()
	quote = quote[:min(len(quote), most-wire.IPHeaderLen(&ip.Src)-wire.ICMPLen, len(e.Tail())-wire.ICMPLen)]
	h.Put(e.Extend(wire.ICMPLen))
	copy(e.Extend(len(quote)), quote)
	out := wire.IP{Src: ip.Dst, Dst: ip.Src, Proto: proto}
	s.sealICMP(e, &out)
	s.sendIP(e, &out, nil, now)
}

// endErrors are what applications are told, by the end of the state machine.
var endErrors = map[tcp.Error]error{
	tcp.NoError: nil, tcp.ErrReset: errReset, tcp.ErrRefused: errRefused, tcp.ErrTimeout: errTimeout,
	tcp.ErrAborted: errAborted, tcp.ErrUnread: errAborted, tcp.ErrUnreachable: errUnreachable,
}
