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
		mtu := 0
		if h.Code == wire.ICMPFragmentNeeded {
			mtu = max(int(h.Rest&0xffff), 296) // RFC 1191, 5: old routers say 0
		}
		s.errorArrived(f, h.Code == wire.ICMPPortUnreachable || h.Code == wire.ICMPProtocolUnreachable, mtu)
	default:
		s.pool.Put(f)
	}
}

func (s *shard) icmp6(f *frame.Frame, ip *wire.IP, h *wire.ICMP, _ wire.HW, now int64) {
	switch h.Type {
	case wire.ICMP6Echo:
		s.echo(f, ip, wire.ICMP6EchoReply, now)
	case wire.ICMP6Solicitation, wire.ICMP6Advertisement:
		s.ndp(f, ip, h.Type)
	case wire.ICMP6TooBig:
		s.errorArrived(f, false, max(int(h.Rest), 1280))
	case wire.ICMP6Unreachable:
		s.errorArrived(f, h.Code == wire.ICMP6PortUnreachable, 0)
	default:
		s.pool.Put(f)
	}
}

// echo answers a ping with its own frame.
func (s *shard) echo(f *frame.Frame, ip *wire.IP, reply uint8, now int64) {
	if ip.Dst.Multicast() || !s.limits.errors.take(now) || f.Headroom() < headroom/2 {
		s.drop(f, icmpRateLimited)
		return
	}
	b := f.Bytes()
	b[0], b[2], b[3] = reply, 0, 0
	f.Offload = frame.Offload{}
	out := wire.IP{Src: ip.Dst, Dst: ip.Src, Proto: ip.Proto}
	s.sealICMP(f, &out)
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

// errorArrived tells a connection what became of one of its packets. mtu is what the
// path takes, if the packet was too long.
func (s *shard) errorArrived(f *frame.Frame, final bool, mtu int) {
	f.TrimFront(wire.ICMPLen)
	q, fault := wire.ParseQuote(f.Bytes())
	s.pool.Put(f)
	if fault != wire.OK {
		s.fault(fault)
		return
	}
	if q.Proto != wire.ProtoTCP {
		return
	}
	k := flowKey{local: q.Src, remote: q.Dst, localPort: q.SrcPort, remotePort: q.DstPort}
	c := s.flows[k]
	if c == nil {
		return
	}
	switch {
	case mtu > 0:
		c.tcp.PathMTU(s.st.now(), q.Seq, mtu-wire.IPHeaderLen(&q.Dst)-wire.TCPLen)
	case final:
		c.tcp.Unreachable(q.Seq, &s.out)
	default:
		return
	}
	s.finish(c, s.st.now())
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
