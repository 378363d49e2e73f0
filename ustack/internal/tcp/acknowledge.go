package tcp

import "github.com/stackmeter/stackmeter/ustack/internal/wire"

// ackDue reports whether an acknowledgement must go out now.
func (c *Conn) ackDue() bool { return c.ackNow || c.dupAcks > 0 }

// acknowledged notes that a segment carries all acknowledgements.
func (c *Conn) acknowledged() {
	c.ackNow, c.ackSoon, c.unacked, c.timers.delack = false, false, 0, 0
	c.lastAck = c.rnxt
}

// sendACKs sends an acknowledgement, and to peers that count duplicates, having no
// SACK, one for each segment out of order.
func (c *Conn) sendACKs(now int64, o *Out) {
	for n := max(c.dupAcks, 1); n > 0; n-- {
		c.emit(now, o, c.nxt, 0, wire.ACK)
	}
	c.dupAcks = 0
}

// dataArrived decides when n new bytes in order, in count segments, are acknowledged
// (RFC 9293, 3.8.6.3; RFC 5681, 4.2): at once for two full segments or more, else
// within the time of a delayed ACK. Early in the connection it is at once, but for what
// looks like a short reply, after which we will have something to say.
func (c *Conn) dataArrived(now int64, n, count int) {
	c.unacked += n
	if per := n / max(count, 1); per > c.rcvMSS && count > 0 {
		c.rcvMSS = min(per, c.cfg.MSS)
	}
	switch {
	case c.unacked >= 2*c.rcvMSS, c.ooo.frames.N > 0:
		c.ackNow = true
	case c.quick > 0 && (c.Stats.BytesOut == 0 || n >= c.rcvMSS):
		c.quick--
		c.ackSoon = true
	case c.timers.delack == 0:
		c.timers.delack = now + delackMax
	}
}

// window is the window that there is room for: never less than was promised.
func (c *Conn) window() uint32 {
	promised := int(int32(c.edge - c.rnxt))
	room := c.limit - c.unread
	// Silly windows are not offered (RFC 9293, 3.8.6.2.2).
	if room < min(c.limit/2, c.rcvMSS) {
		room = 0
	}
	return uint32(max(promised, room, 0))
}

// advertise returns the window for a header and makes it the promise.
func (c *Conn) advertise() uint16 {
	w := c.window()
	field := w >> c.rcvScale
	if left := c.edge - c.rnxt; int32(left) > 0 && field<<c.rcvScale < left {
		field++ // rounding down would shrink what was promised
	}
	field = min(field, 65535)
	if edge := c.rnxt + field<<c.rcvScale; gt(edge, c.edge) {
		c.edge = edge
	}
	return uint16(field)
}

// updateDue reports whether the window has opened so far that the peer should know:
// to twice what it has left, once that is less than half of the buffer (Linux:
// tcp_cleanup_rbuf).
func (c *Conn) updateDue() bool {
	switch c.state {
	case Established, FinWait1, FinWait2:
	default:
		return false
	}
	left := max(int(int32(c.edge-c.rnxt)), 0)
	w := int(c.window())
	return left <= c.limit/2 && w >= 2*left && w-left >= min(c.rcvMSS, c.limit/2)
}

// challenge answers a segment that may be an attacker's with the truth (RFC 5961).
func (c *Conn) challenge(o *Out, now int64) {
	if c.cfg.Challenge != nil && !c.cfg.Challenge() {
		return
	}
	c.Stats.Challenges++
	c.ackNow = true
}
