package ustack

import (
	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/reassembly"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// prefetchAhead is how many frames before its turn a frame's headers are asked for.
const prefetchAhead = 4

// receive takes a bunch of frames through the layers. TCP sees them once for each
// connection, at the end.
func (s *shard) receive(frames []*frame.Frame, now int64) {
	s.counters[rxFrames] += uint64(len(frames))
	for i, f := range frames {
		if i+prefetchAhead < len(frames) {
			b := frames[i+prefetchAhead].Bytes()
			memcopy.Prefetch(b[:min(len(b), 128)])
		}
		frames[i] = nil
		if s.st.info.Link == LinkEthernet {
			s.ethernet(f, now)
		} else {
			s.internet(f, wire.HW{}, now)
		}
	}
	s.processTouched(now)
}

// ethernet is the link layer.
func (s *shard) ethernet(f *frame.Frame, now int64) {
	h, fault := wire.ParseEthernet(f.Bytes())
	if fault != wire.OK {
		s.reject(f, fault)
		return
	}
	if h.Dst != s.st.info.HWAddr && h.Dst[0]&1 == 0 {
		s.drop(f, rxNotForUs)
		return
	}
	f.TrimFront(wire.EthernetLen)
	switch h.Type {
	case wire.EtherIP4, wire.EtherIP6:
		s.group = h.Dst[0]&1 != 0
		s.internet(f, h.Src, now)
		s.group = false
	case wire.EtherARP:
		s.arp(f, now)
	default:
		s.drop(f, rxProtocol)
	}
}

// drop frees a frame and counts why.
func (s *shard) drop(f *frame.Frame, why counter) {
	s.counters[why]++
	s.pool.Put(f)
}

// reject frees a malformed frame.
func (s *shard) reject(f *frame.Frame, why wire.Fault) {
	s.fault(why)
	s.pool.Put(f)
}

// internet is the IP layer. The frame begins with the IP header.
func (s *shard) internet(f *frame.Frame, from wire.HW, now int64) {
	var h wire.IP
	b := f.Bytes()
	if fault := wire.ParseIP(&h, b); fault != wire.OK {
		s.reject(f, fault)
		return
	}
	// What came to a whole link is not for any address (RFC 1122, 3.3.6).
	mine := s.st.mine(&h.Dst) && !s.group || s.st.own[h.Dst]
	if !mine && !s.st.listensTo(&h.Dst) {
		s.drop(f, rxNotForUs)
		return
	}
	// A station that has one of our addresses too tells so by neighbour discovery.
	if h.Src.Multicast() || s.st.own[h.Src] && !s.inside && h.Proto != wire.ProtoICMP6 {
		s.reject(f, wire.IPSource)
		return
	}
	if h.IsFragment() {
		s.fragment(f, &h, from, now)
		return
	}
	f.Truncate(h.Length) // there may be padding
	switch h.Proto {
	case wire.ProtoTCP:
		s.segment(f, &h, now)
	case wire.ProtoUDP:
		s.datagram(f, &h, now)
	case wire.ProtoICMP, wire.ProtoICMP6:
		if h.Is6() == (h.Proto == wire.ProtoICMP6) {
			s.icmp(f, &h, from, now)
			return
		}
		s.drop(f, rxProtocol)
	default:
		s.counters[rxProtocol]++
		s.unreachable(f, &h, protocolUnreachable, now)
	}
}

// fragment collects the parts of a packet.
func (s *shard) fragment(f *frame.Frame, h *wire.IP, from wire.HW, now int64) {
	s.counters[reasmRequired]++
	whole, result := s.parts.Add(now, h, f.Bytes())
	s.pool.Put(f)
	switch result {
	case reassembly.Done:
		s.counters[reasmDone]++
		s.internet(frame.Of(whole), from, now)
	case reassembly.Failed:
		s.counters[reasmFails]++
	}
}

// listensTo reports whether packets to a multicast address are taken.
func (st *Stack) listensTo(a *wire.Addr) bool {
	if !a.Multicast() {
		return false
	}
	if a.Is4() {
		return *a == wire.Addr4([]byte{224, 0, 0, 1})
	}
	if *a == allNodes {
		return true
	}
	for own := range st.own {
		if !own.Is4() && wire.SolicitedNode(&own) == *a {
			return true
		}
	}
	return false
}

// allNodes is the multicast address of all IPv6 nodes of a link.
var allNodes = wire.Addr{0: 0xff, 1: 0x02, 15: 1}

// verified reports whether the checksum of the transport packet in f is right: its
// first byte is the transport header's.
func verified(f *frame.Frame, h *wire.IP) bool {
	if f.Offload.Checksum != frame.ChecksumFull {
		return true
	}
	p := wire.Pseudo(&h.Src, &h.Dst, h.Proto, f.Len())
	p.Add(f.Bytes())
	return p.Fold() == 0xffff
}
