package tcp

import "github.com/stackmeter/stackmeter/ustack/internal/wire"

// news is what one segment said about bytes that were sent.
type news struct {
	advanced  int   // bytes by which SND.UNA moved
	delivered int   // bytes newly known to have arrived, in order or not
	oldest    int64 // round trip of the first byte newly acknowledged; 0: none to be had
	dsack     bool  // the peer got something twice
	dsackAt   wire.Block
	duplicate bool // an ACK that says nothing but that something arrived
	echo      bool // congestion experienced
}

// ackArrived takes in the acknowledgement and the window of s.
func (c *Conn) ackArrived(now int64, s *Segment, o *Out) {
	var n news
	if lt(s.Ack, c.una) {
		c.windowArrived(s)
		return // old
	}
	n.echo = c.ecn && s.Flags&wire.ECE != 0
	outstanding := c.recs.n() > 0
	moved := c.windowArrived(s)
	if c.sack && s.Options.Blocks > 0 {
		c.sackArrived(now, s, &n)
	}
	if s.Ack != c.una {
		c.advance(now, s, &n)
		c.timers.progress = now
		c.backoff = 0
		o.Events |= Writable
	} else if outstanding && s.Len == 0 && !moved && s.Flags&(wire.SYN|wire.FIN) == 0 {
		n.duplicate = true
	}
	if n.oldest > 0 {
		c.rtt.sample(now, n.oldest)
	} else if n.advanced > 0 {
		if c.timestamps && s.Options.TSEcr != 0 { // Karn's rule does not bind timestamps
			if t := int64(int32(c.stamp(now) - s.Options.TSEcr)); t >= 0 {
				c.rtt.sample(now, max(t*millisecond, millisecond))
			}
		}
		c.rtt.reset()
	}
	if outstanding {
		c.controlCongestion(now, s, &n)
	}
	c.acknowledgedFIN(now, o)
	if n.advanced > 0 {
		c.timers.base = now // RFC 6298, 5.3
	}
}

// windowArrived takes in the window (RFC 9293, 3.10.7.4) and reports whether it
// changed.
func (c *Conn) windowArrived(s *Segment) bool {
	if lt(c.wl1, s.Seq) || c.wl1 == s.Seq && leq(c.wl2, s.Ack) {
		w := uint32(s.Window) << c.sndScale
		changed := w != c.wnd
		c.wnd, c.wl1, c.wl2 = w, s.Seq, s.Ack
		c.wndMax = max(c.wndMax, w)
		if changed && w > 0 && c.timers.kind == timerPersist {
			c.rtt.reset()
		}
		return changed
	}
	return false
}

// advance moves SND.UNA to the acknowledgement.
func (c *Conn) advance(now int64, s *Segment, n *news) {
	n.advanced = int(s.Ack - c.una)
	for c.recs.n() > 0 {
		r := c.recs.at(0)
		if gt(r.end, s.Ack) {
			if part := int(s.Ack - r.seq); int32(part) > 0 {
				c.delivered(now, s, r, s.Ack, part, n)
				c.recs.trim(r, part)
				r.seq = s.Ack
			}
			break
		}
		c.delivered(now, s, r, r.end, r.len(), n)
		c.recs.pop()
	}
	c.una = s.Ack
	c.probeArrived()
}

// delivered notes that part bytes of r, up to end, have arrived.
func (c *Conn) delivered(now int64, s *Segment, r *record, end uint32, part int, n *news) {
	if r.sacked {
		return // known already
	}
	n.delivered += part
	if !r.again && n.oldest == 0 {
		n.oldest = max(now-r.at, 1)
	}
	c.loss.arrived(c, now, s, r, end)
}

// sackArrived takes in selective acknowledgements (RFC 2018, 2883).
func (c *Conn) sackArrived(now int64, s *Segment, n *news) {
	blocks := s.Options.SACK[:s.Options.Blocks]
	first := blocks[0]
	if leq(first.End, s.Ack) || len(blocks) > 1 && geq(first.Start, blocks[1].Start) && leq(first.End, blocks[1].End) {
		if geq(first.Start, c.una-c.wndMax) && lt(first.Start, first.End) {
			n.dsack, n.dsackAt = true, first
			c.Stats.DSACKsIn++
		}
	}
	for _, b := range blocks {
		// Blocks of bytes never sent, or turned round, are ignored.
		if geq(b.Start, b.End) || leq(b.End, c.una) || gt(b.End, c.nxt) || lt(b.Start, s.Ack) {
			continue
		}
		c.sackBlock(now, s, b, n)
	}
}

// sackBlock marks the records that b covers, split at its edges.
func (c *Conn) sackBlock(now int64, s *Segment, b wire.Block, n *news) {
	for i := c.recs.find(b.Start); i < c.recs.n(); i++ {
		r := c.recs.at(i)
		if geq(r.seq, b.End) {
			return
		}
		if r.sacked {
			continue
		}
		if lt(r.seq, b.Start) {
			c.recs.split(i, b.Start)
			continue
		}
		if gt(r.end, b.End) {
			c.recs.split(i, b.End)
			r = c.recs.at(i)
		}
		n.delivered += r.len()
		c.loss.arrived(c, now, s, r, r.end)
		c.recs.markSacked(i)
	}
}

// find returns the first record that ends behind seq.
func (r *records) find(seq uint32) int {
	lo, hi := 0, r.n()
	for lo < hi {
		mid := (lo + hi) / 2
		if gt(r.at(mid).end, seq) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// acknowledgedFIN moves the state along once the peer has our FIN.
func (c *Conn) acknowledgedFIN(now int64, o *Out) {
	if !c.finSent || c.una != c.nxt {
		return
	}
	switch c.state {
	case FinWait1:
		c.state = FinWait2
		if c.orphan {
			c.timers.life = now + finWait2
		}
	case Closing:
		c.enterTimeWait(now, o)
	case LastAck:
		c.finish(o, NoError)
	}
}
