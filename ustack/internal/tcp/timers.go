package tcp

// kinds of the retransmission timer, of which one runs at a time.
type timerKind uint8

const (
	timerNone timerKind = iota
	timerRTO
	timerProbe   // tail loss probe
	timerReorder // RACK waits for reordered segments
	timerPersist // the peer's window is closed
)

// timers are the times, in nanoseconds, at which something is due; 0: never.
type timers struct {
	rtx      int64
	kind     timerKind
	delack   int64
	keep     int64
	life     int64 // of TIME-WAIT, and of FIN-WAIT-2 that nobody waits for
	pace     int64
	base     int64 // when rtx began to run: the last progress or first transmission
	progress int64 // when the peer last acknowledged something new
	heard    int64 // when the peer was last heard of
	keepSent int
}

// Deadline returns when Timer is to be called next; 0: not at all.
func (c *Conn) Deadline() int64 {
	t := &c.timers
	d := t.rtx
	for _, at := range [...]int64{t.delack, t.keep, t.life, t.pace} {
		if at != 0 && (d == 0 || at < d) {
			d = at
		}
	}
	return d
}

// arm sets the retransmission timer for what is outstanding.
func (c *Conn) arm(now int64) {
	t := &c.timers
	t.rtx, t.kind = 0, timerNone
	switch {
	case c.state == Closed || c.state == TimeWait:
	case c.state == SynSent || c.state == SynReceived:
		t.rtx, t.kind = t.base+c.rtt.rto, timerRTO
	case c.recs.n() > 0:
		t.rtx, t.kind = t.base+c.rtt.rto, timerRTO
		if w := c.loss.waitUntil; w != 0 && w < t.rtx {
			t.rtx, t.kind = w, timerReorder
		} else if p := c.probeTimeout(); p != 0 {
			if at := max(t.base, c.sentAt) + p; at < t.rtx {
				t.rtx, t.kind = at, timerProbe
			}
		}
	case c.end != c.nxt && !c.finSent && (!c.cfg.Pacing || t.pace == 0):
		t.rtx, t.kind = max(t.base, c.sentAt, t.progress)+c.rtt.rto, timerPersist
		if t.rtx <= now {
			t.base = now
			t.rtx = now + c.rtt.rto
		}
	}
}

// Timer does what is due. It may be called early, or for nothing; the caller then
// calls Output.
func (c *Conn) Timer(now int64, o *Out) {
	t := &c.timers
	if t.pace != 0 && now >= t.pace {
		t.pace = 0
	}
	if t.delack != 0 && now >= t.delack {
		t.delack = 0
		c.ackNow = true
	}
	if t.life != 0 && now >= t.life {
		c.finish(o, NoError)
		return
	}
	if t.keep != 0 && now >= t.keep && !c.keepAlive(now, o) {
		return
	}
	if t.rtx != 0 && now >= t.rtx {
		c.retransmitTimer(now, o)
	}
}

// keepAlive probes a silent peer (RFC 9293, 3.8.4). It returns false if the peer is
// given up.
func (c *Conn) keepAlive(now int64, o *Out) bool {
	t := &c.timers
	if c.state < Established || c.state == TimeWait {
		t.keep = 0
		return true
	}
	if now-t.heard < c.cfg.KeepIdle || c.recs.n() > 0 {
		t.keepSent = 0
		t.keep = max(t.heard, now-c.cfg.KeepIdle/2) + c.cfg.KeepIdle
		return true
	}
	if t.keepSent >= int(c.cfg.KeepCount) {
		c.reset(now, o, ErrTimeout)
		return false
	}
	c.recs.list = nil // a window that was large leaves nothing behind
	t.keepSent++
	t.keep = now + c.cfg.KeepInterval
	c.Stats.KeepAlives++
	c.probeDue = true
	return true
}

// retransmitTimer is what happens when rtx is due.
func (c *Conn) retransmitTimer(now int64, o *Out) {
	limit := c.cfg.UserTimeout
	if limit == 0 {
		limit = userTimeoutDefault
		if c.state == SynSent || c.state == SynReceived {
			limit = synTimeout
		}
	}
	kind := c.timers.kind
	c.timers.rtx = 0
	// A peer that answers probes of its closed window is alive (RFC 9293, 3.8.6.1).
	alive := kind == timerPersist && c.timers.heard > c.timers.progress && c.cfg.UserTimeout == 0
	if now-c.timers.progress >= limit && !alive && kind != timerProbe && kind != timerReorder {
		if c.state == SynSent {
			c.finish(o, ErrTimeout)
		} else {
			c.reset(now, o, ErrTimeout)
		}
		return
	}
	switch kind {
	case timerRTO:
		c.retransmitTimeout(now)
	case timerProbe:
		c.sendTailProbe(now, o)
	case timerReorder:
		if lost := c.lossByTime(now); lost > 0 && c.loss.phase == open && !c.probeAlone(lost) {
			c.enterRecovery(0)
		}
		if c.loss.phase == recovery {
			c.reduceRate(&news{}, false)
		}
	case timerPersist:
		c.rtt.backOff()
		c.timers.base = now
		if c.wnd > 0 {
			c.force = true // a window too small for manners
			return
		}
		c.Stats.ZeroWindowProbes++
		c.probeDue = true
	}
}

// synTimeout is how long a SYN is sent again and again (Linux: tcp_syn_retries = 6).
const synTimeout = 127 * second

// retransmitTimeout is RFC 6298, 5.4 to 5.7, with RACK's idea of what is lost
// (RFC 8985, 6.3).
func (c *Conn) retransmitTimeout(now int64) {
	c.Stats.RTOs++
	c.backoff = min(c.backoff+1, 250)
	c.rtt.backOff()
	c.timers.base = now
	if c.state == SynSent || c.state == SynReceived {
		c.synDue = true
		c.cc.cwnd = c.mss // RFC 6928, 2: a lost SYN is a sign
		return
	}
	l := &c.loss
	if l.phase != timeout {
		flight := int(c.nxt - c.una)
		if l.phase == open {
			c.saveForUndo()
			c.cc.reduce(flight)
		}
		l.phase = timeout
	}
	l.high = c.nxt
	l.probing, l.dups, l.dupBytes = false, 0, 0
	c.shortenForHole()
	c.cc.cwnd = c.mss
	if c.recs.at(0).sacked {
		c.recs.forgetSacks()
	}
	for i := range c.recs.n() {
		r := c.recs.at(i)
		if i == 0 || !c.sack || r.at+l.rackRTT+c.reorderWindow() <= now {
			c.recs.markLost(i)
		}
	}
	c.recs.hint = 0
}
