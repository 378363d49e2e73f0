package tcp

// lossByTime is RACK (RFC 8985, 6.2 steps 4 and 5): a segment is lost if one that was
// sent later has arrived, and a time for reordering has passed. It returns how many
// bytes were newly found lost.
func (c *Conn) lossByTime(now int64) int {
	l := &c.loss
	l.waitUntil = 0
	if l.rackAt == 0 {
		return 0
	}
	lost, limit := 0, l.rackRTT+c.reorderWindow()
	for i := range c.recs.n() {
		r := c.recs.at(i)
		if r.at > l.rackAt || r.at == l.rackAt && geq(r.end, l.rackEnd) {
			if c.recs.resent == 0 {
				break // what follows was sent later still
			}
			continue
		}
		if r.sacked || r.lost {
			continue
		}
		if due := r.at + limit; due <= now {
			lost += c.recs.markLost(i)
		} else {
			l.waitUntil = max(l.waitUntil, due)
		}
	}
	return lost
}

// reorderWindow is how long to wait for segments that may have been overtaken
// (RFC 8985, 6.2 step 4).
func (c *Conn) reorderWindow() int64 {
	l := &c.loss
	if !l.reordered && (l.phase != open || c.recs.sacked > 2*c.mss) {
		return 0 // three duplicates are enough on a path that was not seen to reorder
	}
	return min(c.rtt.min/4*int64(1+l.widen), c.rtt.srtt)
}

// dsackArrived waits longer from now on: something was sent again for nothing.
func (c *Conn) dsackArrived() {
	l := &c.loss
	l.reordered = true
	if geq(c.una, l.widenedAt) { // once per round trip
		l.widenedAt = c.nxt
		l.widen = min(l.widen+1, 250)
	}
	l.persist = 16
}

// lossBySACK is RFC 6675's IsLost: two full segments and more, or three runs, have
// arrived of what was sent behind.
func (c *Conn) lossBySACK() int {
	lost, above, runs := 0, 0, 0
	for i := c.recs.n() - 1; i >= 0; i-- {
		r := c.recs.at(i)
		switch {
		case r.sacked:
			above += r.len()
			if i+1 == c.recs.n() || !c.recs.at(i+1).sacked {
				runs++
			}
		case !r.again && (above > 2*c.mss || runs >= 3):
			lost += c.recs.markLost(i)
		}
	}
	return lost
}

// lossByDuplicates is fast retransmit without SACK (RFC 5681, 3.2; RFC 6582).
func (c *Conn) lossByDuplicates(n *news) int {
	l := &c.loss
	first := c.recs.at(0)
	if n.duplicate {
		l.dups++
		if l.phase != timeout {
			l.dupBytes = min(l.dupBytes+c.mss, max(c.recs.pipe-min(first.len(), c.mss), 0))
			n.delivered += c.mss
		}
		if l.dups == 3 && l.phase == open && (!l.hasHigh() || geq(c.una, l.high)) {
			return c.loseFirst()
		}
		return 0
	}
	if n.advanced == 0 {
		return 0
	}
	l.dups = 0
	l.dupBytes = max(l.dupBytes-max(n.advanced-c.mss, 0), 0)
	if l.phase == recovery && !first.lost && lt(c.una, l.high) && !first.again {
		return c.loseFirst() // a partial acknowledgement: the next hole begins here
	}
	return 0
}

// hasHigh reports whether there was a recovery before this one, whose late duplicates
// must not start another.
func (l *lossState) hasHigh() bool { return l.high != 0 }

// loseFirst marks the first segment outstanding as lost.
func (c *Conn) loseFirst() int {
	if r := c.recs.at(0); r.len() > c.mss {
		c.recs.split(0, r.seq+uint32(c.mss))
	}
	return c.recs.markLost(0)
}
