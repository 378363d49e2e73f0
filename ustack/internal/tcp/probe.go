package tcp

// maxDelayedACK is what a peer may add to the round trip of a lone segment: Linux's
// least delayed ACK, and a timer tick (RFC 8985, 7.2: TLP.max_ack_delay).
const maxDelayedACK = 50 * millisecond

// probeTimeout returns how long after the last progress a tail loss probe is due, or
// 0 if none may be sent (RFC 8985, 7.2).
func (c *Conn) probeTimeout() int64 {
	if !c.sack || c.cfg.NoRACK || c.loss.phase != open || c.loss.probing || c.recs.sacked > 0 || c.rtt.srtt == 0 || c.state < Established {
		return 0
	}
	t := 2*c.rtt.srtt + 2*millisecond
	if c.pipe() <= c.mss {
		t += maxDelayedACK
	}
	return t
}

// sendTailProbe sends new bytes if it may, else the last ones again, so that the peer
// says what it has (RFC 8985, 7.3).
func (c *Conn) sendTailProbe(now int64, o *Out) {
	l := &c.loss
	c.Stats.TLPs++
	l.probing, l.probeNew = true, false
	before, cwnd := c.nxt, c.cc.cwnd
	if c.end != c.nxt && !c.finSent {
		c.cc.cwnd, c.force = c.pipe()+c.mss, true // one segment beyond the window
		c.sendNew(now, o)
		c.cc.cwnd, c.force = cwnd, false
		l.probeNew = c.nxt != before
	}
	if !l.probeNew {
		i := c.recs.n() - 1
		if r := c.recs.at(i); r.len() > c.mss {
			c.recs.split(i, r.end-uint32(c.mss))
			i++
		}
		c.recs.markLost(i)
		c.resend(now, o, i)
	}
	l.probeEnd = c.nxt
	c.timers.base = now
}

// endProbe looks whether a probe repaired a loss, which congestion control must then
// hear of (RFC 8985, 7.4).
func (c *Conn) endProbe(now int64, s *Segment, n *news) {
	l := &c.loss
	if !l.probing || lt(s.Ack, l.probeEnd) {
		return
	}
	l.probing = false
	if l.probeNew || n.dsack || l.phase != open {
		return
	}
	if gt(s.Ack, l.probeEnd) || c.answersProbe(s) {
		c.saveForUndo()
		c.cc.reduce(int(c.nxt-c.una) + c.mss)
		c.cc.cwnd = c.cc.ssthresh
	}
}

// answersProbe reports whether the acknowledgement was caused by the probe itself:
// the original had not arrived.
func (c *Conn) answersProbe(s *Segment) bool {
	return c.timestamps && c.loss.resent && s.Options.TSEcr != 0 && geq(s.Options.TSEcr, c.loss.undoStamp)
}
