package tcp

// phase of congestion control.
type phase uint8

const (
	open     phase = iota
	recovery       // fast recovery: losses are being repaired
	timeout        // after a retransmission timeout
)

// lossState is what is known about losses and the way out of them.
type lossState struct {
	phase   phase
	high    uint32 // the phase ends when this is acknowledged
	reduced uint32 // SND.NXT at the last reduction: marks up to here are the same congestion

	// RACK (RFC 8985): the segment sent last of those that have arrived.
	rackAt     int64
	rackEnd    uint32
	rackRTT    int64
	forward    uint32 // behind the highest byte that has arrived
	hasForward bool
	reordered  bool  // the path was seen to reorder
	widen      uint8 // quarters of a round trip to wait for reordered segments, less one
	persist    uint8 // recoveries until widen is forgotten
	widenedAt  uint32
	waitUntil  int64 // when the next segment will be taken for lost; 0: never

	// Tail loss probe (RFC 8985, 7).
	probing  bool
	probeNew bool // it was new data, not a retransmission
	probeEnd uint32

	// Peers without SACK: duplicate acknowledgements stand for segments (RFC 6582).
	dups     int
	dupBytes int

	// Proportional rate reduction (RFC 6937).
	prrDelivered, prrOut, prrFlight int

	// Taking a reduction back that was wrong (RFC 3522).
	resent                 bool   // something was sent again since the reduction
	undoStamp              uint32 // timestamp of the first retransmission; valid if resent
	undoCwnd, undoSsthresh int    // undoCwnd 0: nothing to take back
}

// arrived notes for RACK that r, up to end, has arrived (RFC 8985, 6.2 steps 1 to 3).
func (l *lossState) arrived(c *Conn, now int64, s *Segment, r *record, end uint32) {
	if !r.again && l.hasForward && lt(end, l.forward) {
		l.reordered = true
	}
	if !l.hasForward || gt(end, l.forward) {
		l.forward, l.hasForward = end, true
	}
	t := now - r.at
	if r.again {
		// It may be the first transmission that has arrived.
		if c.timestamps && s.Options.TSEcr != 0 && lt(s.Options.TSEcr, c.stamp(r.at)) || t < c.rtt.min {
			return
		}
	}
	l.rackRTT = t
	if r.at > l.rackAt || r.at == l.rackAt && gt(end, l.rackEnd) {
		l.rackAt, l.rackEnd = r.at, end
	}
}

// sent notes that n bytes left, for the rate reduction.
func (l *lossState) sent(n int) {
	if l.phase == recovery {
		l.prrOut += n
	}
}

// controlCongestion finds losses and sets the congestion window.
func (c *Conn) controlCongestion(now int64, s *Segment, n *news) {
	l := &c.loss
	if c.recs.n() > 0 && c.recs.at(0).sacked {
		// The peer said it had what it now does not acknowledge (RFC 2018, 8).
		if c.recs.at(0).seq == c.una && s.Ack == c.una && n.delivered == 0 && l.phase == timeout {
			c.recs.forgetSacks()
		}
	}
	c.endProbe(now, s, n)
	if n.dsack {
		c.dsackArrived()
	}
	if l.phase != open && n.advanced > 0 && c.undo(s) {
		c.recs.hint = 0
	}
	if l.phase != open && geq(c.una, l.high) && (c.sack || gt(c.una, l.high) || c.recs.n() == 0) {
		c.leaveRecovery()
	}
	lost := c.findLosses(now, n)
	if lost > 0 && l.phase == open && !c.probeAlone(lost) {
		c.enterRecovery(n.advanced)
	}
	if n.echo && gt(s.Ack, l.reduced) {
		c.reduceForECN(n.advanced)
	}
	switch l.phase {
	case recovery:
		c.reduceRate(n, lost > 0 && !c.sack) // RFC 6582 sends the next hole at once
	default:
		if n.delivered > 0 && (c.cc.limited || l.phase == timeout) {
			c.cc.acked(now, n.delivered, &c.rtt)
		}
		if c.recs.n() == 0 || c.pipe() < c.cc.cwnd/2 {
			c.cc.limited = false
		}
	}
}

// findLosses marks what was lost and returns how many bytes that is.
func (c *Conn) findLosses(now int64, n *news) int {
	if c.recs.n() == 0 {
		c.loss.waitUntil = 0
		c.loss.dups, c.loss.dupBytes = 0, 0
		return 0
	}
	switch {
	case !c.sack:
		return c.lossByDuplicates(n)
	case c.cfg.NoRACK:
		return c.lossBySACK()
	}
	return c.lossByTime(now)
}

// enterRecovery is the beginning of fast recovery; acked bytes were acknowledged just
// now.
func (c *Conn) enterRecovery(acked int) {
	l := &c.loss
	c.Stats.Recoveries++
	c.saveForUndo()
	l.phase, l.high = recovery, c.nxt
	flight := int(c.nxt-c.una) + acked
	l.prrDelivered, l.prrOut, l.prrFlight = 0, 0, max(flight, c.mss)
	c.cc.reduce(flight)
	l.reduced = c.nxt
	c.ecnCWR = c.ecn
}

// saveForUndo remembers the window before a reduction.
func (c *Conn) saveForUndo() {
	if c.loss.phase == open {
		c.loss.undoCwnd, c.loss.undoSsthresh = c.cc.cwnd, c.cc.ssthresh
		c.loss.resent = false
	}
}

// undo takes a reduction back if the peer answers a transmission from before it:
// nothing was lost, it was late (the Eifel algorithm, RFC 3522 and 4015).
func (c *Conn) undo(s *Segment) bool {
	l := &c.loss
	if !c.timestamps || !l.resent || l.undoCwnd == 0 || s.Options.TSEcr == 0 || geq(s.Options.TSEcr, l.undoStamp) {
		return false
	}
	c.Stats.Undos++
	c.cc.cwnd, c.cc.ssthresh = max(c.cc.cwnd, l.undoCwnd), max(c.cc.ssthresh, l.undoSsthresh)
	for i := range c.recs.n() {
		if r := c.recs.at(i); r.lost {
			r.lost = false
			c.recs.lost -= r.len()
			c.recs.pipe += r.len()
		}
	}
	l.phase, l.resent, l.dups, l.dupBytes = open, false, 0, 0
	l.reordered = true
	return true
}

// leaveRecovery ends recovery or the time after a timeout.
func (c *Conn) leaveRecovery() {
	l := &c.loss
	if l.phase == recovery {
		c.cc.cwnd = max(c.cc.ssthresh, 2*c.mss)
	}
	l.phase, l.dups, l.dupBytes, l.resent, l.undoCwnd = open, 0, 0, false, 0
	if l.persist > 0 {
		if l.persist--; l.persist == 0 {
			l.widen = 0
		}
	}
}

// reduceRate sets the window in recovery: proportional rate reduction with its slow
// start bound (RFC 6937). atOnce lets a segment leave in any case.
func (c *Conn) reduceRate(n *news, atOnce bool) {
	l, ssthresh, pipe := &c.loss, c.cc.ssthresh, c.pipe()
	l.prrDelivered += n.delivered
	var send int
	if pipe > ssthresh {
		send = (l.prrDelivered*ssthresh+l.prrFlight-1)/l.prrFlight - l.prrOut
	} else {
		send = min(ssthresh-pipe, max(l.prrDelivered-l.prrOut, n.delivered)+c.mss)
	}
	if atOnce || l.prrOut == 0 {
		send = max(send, c.mss) // and so does the first retransmission
	}
	c.cc.cwnd = pipe + max(send, 0)
}

// reduceForECN answers congestion that routers marked, once per round trip
// (RFC 3168, 6.1.2).
func (c *Conn) reduceForECN(acked int) {
	l := &c.loss
	if l.phase != open {
		return
	}
	c.saveForUndo()
	l.phase, l.high = recovery, c.nxt
	flight := int(c.nxt-c.una) + acked
	l.prrDelivered, l.prrOut, l.prrFlight = 0, 0, max(flight, c.mss)
	c.cc.reduce(flight)
	l.reduced = c.nxt
	l.undoCwnd = 0
	c.ecnCWR = true
}
