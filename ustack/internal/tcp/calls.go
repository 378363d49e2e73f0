package tcp

import (
	"math"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Write says that the application has n more bytes to send. Output sends them.
func (c *Conn) Write(n int) { c.end += uint32(n) }

// Tail is how many of n bytes, if they were written now, would leave in a segment that is
// not full, behind one that is; 0 where there is no telling.
func (c *Conn) Tail(n int) int {
	if c.state != Established && c.state != CloseWait {
		return 0
	}
	all := int(c.end-c.nxt) + n
	if tail := all % c.mss; tail < all && tail <= n {
		return tail
	}
	return 0
}

// CloseWrite says that no bytes will follow: a FIN goes behind the last.
func (c *Conn) CloseWrite() { c.finQueued = true }

// CloseRead says that the application will read no more. What arrives from now on is
// acknowledged and dropped.
func (c *Conn) CloseRead() { c.rcvClosed = true }

// Close is CloseWrite and CloseRead for an application that lets go altogether: bytes
// that arrive from now on, which nobody will ever read, end the connection with RST
// (RFC 9293, 3.6.1), and so do those that it has not read.
func (c *Conn) Close(now int64, o *Out) {
	c.finQueued, c.rcvClosed, c.orphan = true, true, true
	switch {
	case c.state == SynSent:
		c.finish(o, ErrAborted)
	case c.unread > 0 && c.state != Closed && c.state != TimeWait:
		c.reset(now, o, ErrUnread)
	case c.state == FinWait2:
		c.timers.life = now + finWait2
	}
}

// Abort ends the connection with RST.
func (c *Conn) Abort(now int64, o *Out) {
	switch c.state {
	case Closed:
	case SynSent, TimeWait:
		c.finish(o, ErrAborted)
	default:
		c.reset(now, o, ErrAborted)
	}
}

// reset sends RST and ends the connection.
func (c *Conn) reset(now int64, o *Out, why Error) {
	s := c.emit(now, o, c.nxt, 0, wire.RST|wire.ACK)
	s.Options.Blocks = 0
	c.finish(o, why)
}

// Consume says that the application has read n bytes. Output then tells the peer if
// its window has opened by enough.
func (c *Conn) Consume(now int64, n int) {
	c.unread -= n
	c.tune.consumed(c, now, n)
	if c.updateDue() {
		c.ackNow = true
	}
}

// SetNoDelay turns sending of small segments at once on or off.
func (c *Conn) SetNoDelay(on bool) { c.cfg.NoDelay = on }

// SetCongestion changes the algorithm.
func (c *Conn) SetCongestion(to Congestion) {
	c.cfg.Congestion, c.cc.kind = to, to
	c.cc.credit, c.cc.cubic = 0, cubic{}
}

// SetPacing turns pacing on or off. rate bounds it, in bytes per second; 0: no bound.
func (c *Conn) SetPacing(on bool, rate int64) {
	c.cfg.Pacing = on
	c.cfg.PacingMax = uint32(min(max(rate, 0)+1023, math.MaxUint32<<10) >> 10)
	if !on {
		c.pace.next, c.timers.pace = 0, 0
	}
}

// SetReceiveBuffer sets the receive buffer to n bytes, for good. What was promised stays
// promised.
func (c *Conn) SetReceiveBuffer(n int) { c.limit, c.cfg.ReceiveMax = n, n }

// SetKeepAlive sets when probes are sent, as in Config.
func (c *Conn) SetKeepAlive(now, idle, interval int64, count int) {
	c.cfg.KeepIdle, c.cfg.KeepInterval, c.cfg.KeepCount = idle, interval, int32(count)
	c.timers.keep, c.timers.keepSent = 0, 0
	if idle > 0 {
		c.timers.heard = now
		c.timers.keep = now + idle
	}
}

// SetUserTimeout sets how long to go on without progress; 0: 15 minutes.
func (c *Conn) SetUserTimeout(ns int64) { c.cfg.UserTimeout = ns }

// Unreachable says that the network reported a packet with sequence number seq as
// undeliverable. Only a connection that is being opened gives up (RFC 5461).
func (c *Conn) Unreachable(seq uint32, o *Out) {
	if seq != c.iss {
		return
	}
	switch c.state {
	case SynSent:
		c.finish(o, ErrRefused)
	case SynReceived:
		c.finish(o, ErrUnreachable)
	}
}
