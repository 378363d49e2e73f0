package tcp

import "github.com/stackmeter/stackmeter/ustack/internal/wire"

// Arrive takes a segment in (RFC 9293, 3.10.7). It takes over the frames of s.Data.
func (c *Conn) Arrive(now int64, s *Segment, o *Out) {
	c.Stats.SegsIn++
	c.timers.heard = now
	if c.predicted(s) {
		c.Stats.Predicted++
		c.fast(now, s, o)
		return
	}
	switch c.state {
	case Closed:
		drop(s, o)
	case SynSent:
		c.arriveSynSent(now, s, o)
	default:
		c.arriveSynchronized(now, s, o)
	}
	drop(s, o) // what is left of it
}

// predicted reports whether s is what an open connection sees nearly always: the next
// bytes or an acknowledgement, and nothing else (header prediction, Jacobson 1990).
func (c *Conn) predicted(s *Segment) bool {
	return c.state == Established && s.Flags&^wire.PSH == wire.ACK && s.Seq == c.rnxt &&
		s.Options.Blocks == 0 && c.ooo.frames.N == 0 && !s.CE && !c.finSeen && !c.rcvClosed &&
		c.loss.phase == open && c.recs.sacked == 0 &&
		s.Options.Timestamps == c.timestamps && (!c.timestamps || geq(s.Options.TSVal, c.tsRecent)) &&
		(s.Len == 0 && gt(s.Ack, c.una) || s.Len > 0 && geq(s.Ack, c.una) && leq(s.end(), c.edge)) &&
		leq(s.Ack, c.nxt)
}

// Expected returns the sequence number of the next byte from the peer.
func (c *Conn) Expected() uint32 { return c.rnxt }

// Plain reports whether a segment that ends before end, and follows all that came
// before it, would be just the next bytes: nothing is lost by looking at it a little
// later.
func (c *Conn) Plain(flags uint8, end, ack uint32, o *wire.TCPOptions) bool {
	return c.state == Established && flags&^wire.PSH == wire.ACK && leq(end, c.edge) &&
		o.Blocks == 0 && c.ooo.frames.N == 0 && !c.finSeen && !c.rcvClosed &&
		c.loss.phase == open && c.recs.sacked == 0 && geq(ack, c.una) && leq(ack, c.nxt) &&
		o.Timestamps == c.timestamps && (!c.timestamps || geq(o.TSVal, c.tsRecent))
}

// fast is Arrive for what was predicted.
func (c *Conn) fast(now int64, s *Segment, o *Out) {
	if c.timestamps && leq(s.Seq, c.lastAck) {
		c.tsRecent, c.tsRecentAt = s.Options.TSVal, now
	}
	if s.Ack != c.una {
		c.ackArrived(now, s, o)
	} else {
		c.windowArrived(s)
	}
	if s.Len > 0 {
		c.deliver(now, s, o)
	}
}

// deliver passes on bytes that are the next.
func (c *Conn) deliver(now int64, s *Segment, o *Out) {
	c.rnxt += uint32(s.Len)
	c.unread += s.Len
	c.Stats.BytesIn += uint64(s.Len)
	o.Received.Join(&s.Data)
	o.Events |= Readable
	c.tune.received(c, now, s)
	c.dataArrived(now, s.Len, s.Count)
}

// arriveSynSent is RFC 9293, 3.10.7.3.
func (c *Conn) arriveSynSent(now int64, s *Segment, o *Out) {
	hasACK := s.Flags&wire.ACK != 0
	if hasACK && (leq(s.Ack, c.iss) || gt(s.Ack, c.nxt)) {
		if s.Flags&wire.RST == 0 {
			o.Events |= ResetSender
		}
		return
	}
	if s.Flags&wire.RST != 0 {
		if hasACK {
			c.finish(o, ErrRefused)
		}
		return
	}
	if s.Flags&wire.SYN == 0 {
		return
	}
	c.synOptions(now, s)
	c.edge = c.rnxt + uint32(min(c.limit, 65535)) // as the SYN said
	echo := s.Flags & (wire.ECE | wire.CWR)
	if !hasACK { // both sides have opened at the same time
		c.ecn = c.cfg.ECN && echo == wire.ECE|wire.CWR
		c.state, c.synDue = SynReceived, true
		return
	}
	c.ecn = c.cfg.ECN && echo == wire.ECE
	c.una = s.Ack
	if c.backoff == 0 {
		c.rtt.sample(now, now-c.sentAt)
	}
	c.established(now, s, o)
	c.ackSoon = true
}

// established completes the handshake.
func (c *Conn) established(now int64, s *Segment, o *Out) {
	c.state = Established
	c.wl1, c.wl2 = s.Seq, s.Ack
	c.timers.rtx, c.backoff = 0, 0
	c.timers.progress = now
	c.rtt.reset()
	c.sentAt = now
	c.tune.begin(now, c.rnxt)
	if c.cfg.KeepIdle > 0 {
		c.timers.keep = now + c.cfg.KeepIdle
	}
	o.Events |= Connected
}

// arriveSynchronized is RFC 9293, 3.10.7.4.
func (c *Conn) arriveSynchronized(now int64, s *Segment, o *Out) {
	if c.state == TimeWait && c.reusable(s) {
		o.Events |= Reuse
		return
	}
	// A SYN again means that the SYN-ACK was lost.
	if c.state == SynReceived && s.Flags&(wire.SYN|wire.RST|wire.ACK) == wire.SYN && s.Seq == c.irs {
		c.synDue = true
		return
	}
	// With a simultaneous open, the other's SYN-ACK begins at its SYN.
	if c.state == SynReceived && s.Flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK && s.Seq == c.irs && !c.passive {
		s.Flags &^= wire.SYN
		s.Seq++
	}
	if !c.timestampsPass(now, s) || !c.acceptable(now, s) {
		return
	}
	switch {
	case s.Flags&wire.RST != 0:
		c.arriveRST(now, s, o)
		return
	case s.Flags&wire.SYN != 0: // RFC 5961, 4
		c.challenge(o, now)
		return
	case s.Flags&wire.ACK == 0:
		return
	}
	if !c.acknowledges(now, s, o) {
		return
	}
	if c.timestamps && s.Options.Timestamps && leq(s.Seq, c.lastAck) && geq(s.Options.TSVal, c.tsRecent) {
		c.tsRecent, c.tsRecentAt = s.Options.TSVal, now
	}
	if s.Flags&wire.CWR != 0 {
		c.ecnEcho = false
	}
	if c.ecn && s.CE && s.Len > 0 {
		c.ecnEcho, c.ackNow = true, true
	}
	c.ackArrived(now, s, o)
	if c.state == Closed {
		return
	}
	if s.Len > 0 || s.Flags&wire.FIN != 0 {
		c.payload(now, s, o)
	}
}

// reusable reports whether a SYN may end TIME-WAIT (RFC 6191, 2; RFC 9293, 3.10.7.4).
func (c *Conn) reusable(s *Segment) bool {
	if s.Flags&(wire.SYN|wire.RST|wire.ACK) != wire.SYN {
		return false
	}
	if c.timestamps && s.Options.Timestamps && s.Options.TSVal != c.tsRecent {
		return gt(s.Options.TSVal, c.tsRecent)
	}
	return gt(s.Seq, c.rnxt)
}

// timestampsPass protects against wrapped sequence numbers (RFC 7323, 5).
func (c *Conn) timestampsPass(now int64, s *Segment) bool {
	if !c.timestamps || s.Flags&wire.RST != 0 {
		return true
	}
	if !s.Options.Timestamps {
		return false // RFC 7323, 3.2: once agreed on, on every segment
	}
	if geq(s.Options.TSVal, c.tsRecent) || now-c.tsRecentAt > pawsIdle {
		return true
	}
	c.Stats.PAWS++
	if s.end() != s.Seq { // an ACK that was overtaken needs no answer
		c.ackNow = true
	}
	return false
}

// acceptable is the first check of RFC 9293, 3.10.7.4, by the window as promised.
func (c *Conn) acceptable(now int64, s *Segment) bool {
	end := s.end()
	left := int32(c.edge - c.rnxt)
	if left <= 0 { // no window
		if s.Seq == c.rnxt && end == s.Seq {
			return true
		}
		// RFC 9293: ACKs and RSTs still count, and a sender whose window shrank goes
		// on where it was.
		if s.Seq == c.rnxt && s.Flags&wire.SYN == 0 {
			s.Len, s.Flags = 0, s.Flags&^wire.FIN
			c.ackNow = true
			return true
		}
	} else if lt(s.Seq, c.edge) && (gt(end, c.rnxt) || s.Seq == c.rnxt) {
		return true
	} else if end == s.Seq && leq(c.rnxt, s.Seq) && leq(s.Seq, c.edge) {
		return true // an ACK at the very edge, from a sender that filled the window
	}
	if s.Flags&wire.RST == 0 {
		if s.Len > 0 && lt(s.Seq, c.rnxt) && c.sack {
			c.ooo.duplicate(s.Seq, minSeq(end, c.rnxt))
			c.Stats.DSACKsOut++
		}
		// A retransmitted FIN in TIME-WAIT is acknowledged and starts its time again.
		if c.state == TimeWait && s.Flags&wire.FIN != 0 {
			c.timers.life = now + timeWait
		}
		c.ackNow = true
		// Its ACK may still be news, and is looked at where it can do no harm.
		if s.Flags&(wire.ACK|wire.SYN) == wire.ACK && c.state != SynReceived && geq(s.Ack, c.una) && leq(s.Ack, c.nxt) &&
			leq(s.Seq, c.rnxt) && geq(s.Seq, c.rnxt-c.wndPast()) {
			s.Len, s.Seq, s.Flags = 0, c.rnxt, s.Flags&^wire.FIN
			return true
		}
	}
	return false
}

// wndPast is how far before the window a segment may begin and still be one of this
// connection's that was sent again.
func (c *Conn) wndPast() uint32 { return uint32(c.limit) << 1 }

func minSeq(a, b uint32) uint32 {
	if lt(a, b) {
		return a
	}
	return b
}

// arriveRST is RFC 5961, 3.2.
func (c *Conn) arriveRST(now int64, s *Segment, o *Out) {
	if s.Seq != c.rnxt {
		c.challenge(o, now)
		return
	}
	switch c.state {
	case SynReceived:
		c.finish(o, ErrRefused)
	case TimeWait:
		// RFC 1337: TIME-WAIT is not to be assassinated.
	case Closing, LastAck:
		c.finish(o, NoError)
	default:
		c.finish(o, ErrReset)
	}
}

// acknowledges checks the ACK field (RFC 9293, 3.10.7.4, fifth; RFC 5961, 5).
func (c *Conn) acknowledges(now int64, s *Segment, o *Out) bool {
	if c.state == SynReceived {
		if leq(s.Ack, c.una) || gt(s.Ack, c.nxt) {
			o.Events |= ResetSender
			return false
		}
		c.una++ // the SYN
		c.wnd = uint32(s.Window) << c.sndScale
		c.wndMax = max(c.wndMax, c.wnd)
		if c.backoff == 0 {
			c.rtt.sample(now, now-c.sentAt)
		}
		c.established(now, s, o)
		return true
	}
	if gt(s.Ack, c.nxt) || lt(s.Ack, c.una-c.wndMax) {
		c.challenge(o, now)
		return false
	}
	return true
}
