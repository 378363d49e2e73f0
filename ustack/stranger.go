package ustack

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// stranger deals with a segment that belongs to no connection of this shard: another
// shard's, a new connection's, or nobody's. f begins with the TCP header.
func (s *shard) stranger(f *frame.Frame, ip *wire.IP, h *wire.TCP, k *flowKey, now int64) {
	if s.handOverFlow(k, f, ip) {
		return
	}
	if h.Flags&(wire.SYN|wire.RST|wire.ACK) == wire.ACK {
		if c := s.redeem(k, h, now); c != nil {
			f.TrimFront(h.HeaderLen)
			s.gatherPayload(c, f, false, h)
			return
		}
	}
	n := f.Len() - h.HeaderLen
	s.pool.Put(f)
	if h.Flags&wire.RST != 0 {
		return
	}
	if h.Flags&(wire.SYN|wire.ACK) == wire.SYN {
		seg := tcp.Segment{Seq: h.Seq, Flags: h.Flags, Window: h.Window, Options: &h.Options}
		if s.openPassive(k, &seg, now) {
			return
		}
	}
	s.resetSender(k, h.Seq, h.Ack, h.Flags, n, now)
}

// handOverFlow gives f, which begins behind the IP header, to the shard that a flow
// belongs to, if that is another one.
func (s *shard) handOverFlow(k *flowKey, f *frame.Frame, ip *wire.IP) bool {
	if len(s.st.shards) == 1 {
		return false
	}
	owner, ok := s.st.flows.Load(*k)
	if !ok || owner == s {
		return false
	}
	f.Prepend(ip.HeaderLen) // as it was: nothing has been written there
	s.handOver(owner.(*shard), f)
	return true
}

// openPassive begins the connection that a SYN asks for. It returns false if nobody listens.
func (s *shard) openPassive(k *flowKey, seg *tcp.Segment, now int64) bool {
	l := s.st.listener(k.local, k.localPort)
	if l == nil {
		return false
	}
	if !l.reserve() {
		s.counters[listenOverflows]++
		if !l.full() { // else it is dropped: the peer will ask again
			s.sendCookie(k, seg, now)
		}
		return true
	}
	c := s.newConn(*k, l)
	cfg := s.st.tcpConfig(k, now)
	cfg.Challenge = s.limits.challenge(s)
	c.tcp = tcp.Accept(cfg, now, seg)
	s.counters[passiveOpens]++
	s.adopt(c)
	s.finish(c, now)
	return true
}

// resetSender answers a segment that belongs to nothing (RFC 9293, 3.10.7.1).
func (s *shard) resetSender(k *flowKey, seq, ack uint32, flags uint8, n int, now int64) {
	if k.local.Multicast() || !s.limits.resets.take(now) {
		return
	}
	h := wire.TCP{SrcPort: k.localPort, DstPort: k.remotePort, HeaderLen: wire.TCPLen, Flags: wire.RST}
	h.Options.WindowScale = -1
	if flags&wire.ACK != 0 {
		h.Seq = ack
	} else {
		h.Flags |= wire.ACK
		h.Ack = seq + uint32(n)
		if flags&wire.SYN != 0 {
			h.Ack++
		}
		if flags&wire.FIN != 0 {
			h.Ack++
		}
	}
	f := s.pool.One()
	if f == nil {
		s.counters[txNoFrame]++
		return
	}
	s.counters[outRsts]++
	s.sendBare(f, k, &h, now)
}

func putChecksum(b []byte, sum uint16) { b[0], b[1] = byte(sum>>8), byte(sum) }
