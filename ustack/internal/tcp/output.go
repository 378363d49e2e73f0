package tcp

import "github.com/stackmeter/stackmeter/ustack/internal/wire"

// Output sends what may be sent now: what was lost, new bytes, an acknowledgement if
// one is due. It is called once after each bunch of calls.
func (c *Conn) Output(now int64, o *Out) {
	switch c.state {
	case Closed:
		return
	case SynSent, SynReceived:
		if c.synDue {
			c.sendSYN(now, o)
		}
	case TimeWait:
	default:
		if c.recs.lost > 0 {
			c.resendLost(now, o)
		}
		if c.nxt != c.end+c.finLen() {
			c.sendNew(now, o)
		}
		if c.probeDue {
			c.sendProbe(now, o)
		}
	}
	c.force = false
	if c.ackSoon && o.MayWait {
		o.Events |= AckWaits
	} else if c.ackSoon {
		c.ackNow = true
	}
	if c.ackDue() && c.state != SynSent && c.state != SynReceived {
		c.sendACKs(now, o)
	}
	c.arm(now)
}

// finLen is 1 once the application has closed: the FIN is a number behind the bytes.
func (c *Conn) finLen() uint32 {
	if c.finQueued {
		return 1
	}
	return 0
}

// sendSYN sends SYN or SYN-ACK.
func (c *Conn) sendSYN(now int64, o *Out) {
	c.synDue = false
	flags := uint8(wire.SYN)
	if c.state == SynReceived {
		flags |= wire.ACK
		if c.ecn {
			flags |= wire.ECE
		}
	} else if c.cfg.ECN && c.backoff == 0 { // a box that drops ECN must not cost the connection
		flags |= wire.ECE | wire.CWR
	}
	c.nxt = c.iss
	s := c.emit(now, o, c.iss, 0, flags)
	c.nxt = c.iss + 1
	s.Window = uint16(min(c.limit, 65535)) // never scaled in a SYN
	if c.state == SynReceived {
		c.edge = c.rnxt + uint32(s.Window)
	}
	s.Options.MSS = uint16(min(c.cfg.MSS, 65535))
	s.Options.SACKPermitted = c.sack
	if c.state == SynSent || c.sndScale > 0 || c.rcvScale > 0 {
		s.Options.WindowScale = int8(c.rcvScale)
	}
	if c.backoff == 0 {
		c.sentAt = now
	}
	c.timers.base = now
}

// sendNew sends bytes for the first time, as many as windows and manners allow.
func (c *Conn) sendNew(now int64, o *Out) {
	if c.recs.n() == 0 && c.sentAt != 0 && now-c.sentAt > c.rtt.rto && c.cc.cwnd > 10*c.mss {
		c.cc.restart()
	}
	for {
		left := int(c.end - c.nxt) // bytes; -1 once the FIN was sent
		if c.finSent || left == 0 && !c.finQueued {
			return
		}
		room := min(int(int32(c.una+c.wnd-c.nxt)), c.cc.cwnd-c.pipe())
		n, probe := c.probeMTU(now, left, room)
		if !probe {
			n = c.sendable(left, room)
		}
		if n < 0 {
			c.cc.limited = c.cc.limited || c.cc.cwnd-c.pipe() < min(left, c.mss)
			return
		}
		if paced := n; c.cfg.Pacing {
			if !c.pace.allows(c, now, &paced) {
				return
			}
			if !probe {
				n = paced
			}
		}
		flags := uint8(wire.ACK)
		fin := c.finQueued && n == left
		if n == left && n > 0 {
			flags |= wire.PSH
		}
		if fin {
			flags |= wire.FIN
			c.finSent = true
			c.sentFIN()
		}
		if n%c.mss != 0 && !probe {
			c.smallEnd = c.nxt + uint32(n)
		}
		s := c.emit(now, o, c.nxt, n, flags)
		if probe {
			s.MSS = n
			c.probeSent(c.nxt, n)
		}
		end := c.nxt + uint32(n)
		if fin {
			end++
		}
		c.sentRun(now, s, end, fin)
		c.nxt = end
	}
}

// sentRun notes that up to end was sent.
func (c *Conn) sentRun(now int64, s *Send, end uint32, fin bool) {
	if c.recs.n() == 0 {
		c.timers.base = now
	}
	c.recs.add(s.Seq, end, now, fin)
	c.sentAt = now
	c.loss.sent(s.Len)
	c.markECN(s)
	if c.cfg.Pacing {
		c.pace.sent(c, now, s.Len)
	}
}

// sendable returns how many of left bytes should be sent with room bytes of window:
// -1 is to wait, 0 a FIN on its own. RFC 9293, 3.8.6.2.1 and 3.7.4.
func (c *Conn) sendable(left, room int) int {
	if left == 0 {
		return 0 // a FIN waits for no window
	}
	n := min(left, room, c.cfg.BurstMax)
	if n >= c.mss {
		if n < left {
			n -= n % c.mss
		} else if tail := n % c.mss; tail != 0 && n > tail && !c.mayBeSmall() {
			n -= tail
		}
		return n
	}
	if n <= 0 {
		return -1
	}
	if n == left {
		if c.mayBeSmall() {
			return n
		}
		return -1
	}
	// The peer's window is small for good: half of the most it ever offered will do.
	if c.force || uint32(n) >= c.wndMax/2 && n == int(int32(c.una+c.wnd-c.nxt)) {
		return n
	}
	return -1
}

// mayBeSmall reports whether a segment may be sent that is short for want of bytes:
// if no other such is outstanding (Minshall's variant of Nagle's algorithm, as in
// Linux).
func (c *Conn) mayBeSmall() bool {
	return c.cfg.NoDelay || c.finQueued || c.force || c.recs.n() == 0 || leq(c.smallEnd, c.una)
}

// sentFIN moves the state along.
func (c *Conn) sentFIN() {
	switch c.state {
	case Established:
		c.state = FinWait1
	case CloseWait:
		c.state = LastAck
	}
}

// resendLost sends again what was lost, as far as the congestion window allows.
func (c *Conn) resendLost(now int64, o *Out) {
	for i := c.recs.hint; i < c.recs.n() && c.recs.lost > 0; i++ {
		c.recs.hint = i
		r := c.recs.at(i)
		if !r.lost {
			continue
		}
		room := c.cc.cwnd - c.pipe()
		if room < min(c.mss, r.len()) && c.pipe() > 0 {
			return
		}
		// A shrunken window does not take back what was sent under it, but no more
		// than one segment tries it (RFC 9293, 3.8.6).
		if beyond := gt(r.seq, c.una+c.wnd); beyond && c.pipe() > 0 {
			return
		}
		n := min(r.len(), max(room-room%c.mss, c.mss), max(c.cfg.BurstMax-c.cfg.BurstMax%c.mss, c.mss))
		if n < r.len() {
			c.recs.split(i, r.seq+uint32(n))
		}
		c.resend(now, o, i)
	}
	if c.recs.lost == 0 {
		c.recs.hint = c.recs.n()
	}
}

// resend sends record i again.
func (c *Conn) resend(now int64, o *Out, i int) {
	r := c.recs.at(i)
	c.mtu.resent(now, c.rtt.srtt, r)
	flags, n := uint8(wire.ACK), r.len()
	if r.fin {
		flags |= wire.FIN
		n--
	}
	if r.end == c.nxt && n > 0 {
		flags |= wire.PSH
	}
	s := c.emit(now, o, r.seq, n, flags)
	c.Stats.RetransSegs += uint64((n + c.mss - 1) / c.mss)
	if !c.loss.resent {
		c.loss.resent, c.loss.undoStamp = true, c.stamp(now)
	}
	if i == 0 {
		c.timers.base = now
	}
	c.recs.resend(i, now)
	c.sentAt = now
	c.loss.sent(s.Len)
}

// pipe is how many bytes are believed to be in the network.
func (c *Conn) pipe() int { return max(c.recs.pipe-c.loss.dupBytes, 0) }

// sendProbe sends a number that the peer has already, which it must answer.
func (c *Conn) sendProbe(now int64, o *Out) {
	c.probeDue = false
	c.emit(now, o, c.una-1, 0, wire.ACK)
}

// stamp is the timestamp of now, in milliseconds.
func (c *Conn) stamp(now int64) uint32 { return Stamp(&c.cfg, now) }

// emit appends a segment to o, acknowledging all that there is.
func (c *Conn) emit(now int64, o *Out, seq uint32, n int, flags uint8) *Send {
	o.Sends = append(o.Sends, Send{Seq: seq, Flags: flags, Len: n, MSS: c.mss})
	s := &o.Sends[len(o.Sends)-1]
	s.Options.WindowScale = -1
	if c.timestamps {
		s.Options.Timestamps, s.Options.TSVal, s.Options.TSEcr = true, c.stamp(now), c.tsRecent
	}
	if flags&wire.ACK != 0 {
		s.Ack = c.rnxt
		if flags&wire.SYN == 0 {
			s.Window = c.advertise()
			if c.sack {
				c.ooo.blocks(&s.Options, c.rnxt)
			}
		}
		if c.ecnEcho && flags&wire.RST == 0 && flags&wire.SYN == 0 {
			s.Flags |= wire.ECE
		}
		c.acknowledged()
	}
	if s.Options.Blocks > 0 && n > 0 {
		s.MSS = max(min(c.PathSize(), c.peerMSS)-s.Options.Len(), 64)
	}
	c.Stats.SegsOut++
	c.Stats.BytesOut += uint64(n)
	return s
}
