package ustack

import (
	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// defaultTTL is the hop limit of what the stack sends.
const defaultTTL = 64

// transmit makes the frames of a run of segments. Where there is no frame to be had,
// the rest is left to retransmission.
func (s *shard) transmit(c *TCPConn, x *tcp.Send) {
	h := wire.TCP{
		SrcPort: c.key.localPort, DstPort: c.key.remotePort, Seq: x.Seq, Ack: x.Ack,
		Flags: x.Flags, Window: x.Window, Options: x.Options,
	}
	h.HeaderLen = wire.TCPLen + x.Options.Len()
	ip := wire.IP{Src: c.key.local, Dst: c.key.remote, Proto: wire.ProtoTCP, DontFrag: true}
	if x.ECT {
		ip.TOS = wire.ECT0
	}
	left := x.Len
	if left > 0 {
		s.pieces = c.snd.view(s.pieces[:0], x.Seq, left)
	}
	pieces, skip := s.pieces, 0
	for {
		f := s.pool.One()
		if f == nil {
			s.counters[txNoFrame]++
			return
		}
		n := left
		if n > x.MSS && (s.st.info.SegmentSize == 0 || f.Cap()-s.st.payloadAt < n) {
			n = x.MSS
		}
		last := n == left
		h.Flags = x.Flags
		if !last {
			h.Flags &^= wire.FIN | wire.PSH
		}
		f.Reset(s.st.payloadAt)
		s.sum = memcopy.Partial{}
		body := f.Extend(n)
		for len(body) > 0 {
			p := pieces[0][skip:]
			if s.st.info.SendChecksum {
				skip += s.st.sendCopy(body, p)
				body = body[min(len(p), len(body)):]
			} else {
				k := s.st.fuse(&s.sum, body, p)
				skip += k
				body = body[k:]
			}
			if skip == len(pieces[0]) {
				pieces, skip = pieces[1:], 0
			}
		}
		h.Put(f.Prepend(h.HeaderLen))
		s.sealTCP(f, &ip, &h, s.sum, n, x.MSS)
		s.counters[outSegs] += uint64(max((n+x.MSS-1)/x.MSS, 1))
		s.sendIP(f, &ip, c.hop, 0)
		if last {
			break
		}
		left -= n
		h.Seq += uint32(n)
		x.Flags &^= wire.CWR
	}
	clear(s.pieces)
}

// sealTCP fills in the checksum of a segment with a payload of n bytes whose sum is
// given, or what the device needs to do it.
func (s *shard) sealTCP(f *frame.Frame, ip *wire.IP, h *wire.TCP, payload memcopy.Partial, n, mss int) {
	p := wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoTCP, f.Len())
	field := f.Bytes()[wire.TCPChecksumAt:]
	if !s.st.info.SendChecksum {
		p.Add(f.Bytes()[:h.HeaderLen])
		p.Combine(payload)
		putChecksum(field, p.Checksum())
		return
	}
	putChecksum(field, p.Fold())
	o := &f.Offload
	start := wire.IPHeaderLen(&ip.Dst) + s.linkLen()
	o.Checksum, o.ChecksumStart, o.ChecksumOffset = frame.ChecksumPartial, uint16(start), wire.TCPChecksumAt
	if n > mss {
		o.Segmentation, o.SegmentSize, o.HeaderLen = frame.SegmentTCP4, uint16(mss), uint16(start+h.HeaderLen)
		if ip.Is6() {
			o.Segmentation = frame.SegmentTCP6
		}
	}
}

func (s *shard) linkLen() int {
	if s.st.info.Link == LinkEthernet {
		return wire.EthernetLen
	}
	return 0
}

// sendIP sends a transport packet. hop is who gets it; nil: to be found out.
func (s *shard) sendIP(f *frame.Frame, ip *wire.IP, hop *neighbour, now int64) {
	ip.HeaderLen = wire.IPHeaderLen(&ip.Dst)
	ip.Length = ip.HeaderLen + f.Len()
	if ip.TTL == 0 {
		ip.TTL = defaultTTL
	}
	if !ip.IsFragment() {
		s.ipID++
		ip.ID = uint32(s.ipID)
	}
	ip.Put(f.Prepend(ip.HeaderLen))
	if hop == nil {
		hop = s.st.hop(ip.Dst)
	}
	switch hop {
	case nil:
		s.drop(f, txNoNeighbour)
	case &s.st.self:
		s.loop(f)
	case &s.st.direct:
		s.send(f)
	default:
		s.sendTo(hop, f)
	}
}

// hop returns who gets packets for dst: a neighbour, or the stack's self or direct; nil:
// there is no route.
func (st *Stack) hop(dst wire.Addr) *neighbour {
	switch {
	case st.own[dst]:
		return &st.self
	case st.info.Link == LinkIP:
		return &st.direct
	}
	_, via, err := st.source(dst)
	if err != nil {
		return nil
	}
	return st.neigh.get(via)
}

// sendTo puts the link's header before an IP packet, once the neighbour's address is
// known.
func (s *shard) sendTo(n *neighbour, f *frame.Frame) {
	hw, ok := n.address(s, f)
	if !ok {
		return // kept, or dropped
	}
	s.frameTo(hw, f)
}

// frameTo sends an IP packet to a neighbour whose address is known.
func (s *shard) frameTo(hw wire.HW, f *frame.Frame) {
	e := wire.Ethernet{Dst: hw, Src: s.st.info.HWAddr, Type: wire.EtherIP4}
	if f.Bytes()[0]>>4 == 6 {
		e.Type = wire.EtherIP6
	}
	e.Put(f.Prepend(wire.EthernetLen))
	s.send(f)
}
