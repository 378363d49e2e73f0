package ustack

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
)

// SetNoDelay says whether small segments are sent at once (the default) or held back
// while one is on its way (Nagle's algorithm).
func (c *TCPConn) SetNoDelay(on bool) error {
	return c.do("set", func(int64) { c.tcp.SetNoDelay(on) })
}

// SetKeepAlive says when a silent peer is probed: after idle, then every interval, and
// given up after count probes. An idle of 0 turns it off.
func (c *TCPConn) SetKeepAlive(idle, interval time.Duration, count int) error {
	return c.do("set", func(now int64) { c.tcp.SetKeepAlive(now, int64(idle), int64(interval), count) })
}

// SetUserTimeout sets how long to go on without the peer acknowledging anything; 0: 15
// minutes (RFC 5482, local part).
func (c *TCPConn) SetUserTimeout(d time.Duration) error {
	return c.do("set", func(int64) { c.tcp.SetUserTimeout(int64(d)) })
}

// do runs f with the shard in hand. A connection that has ended has nothing to be set
// any more.
func (c *TCPConn) do(op string, f func(now int64)) error {
	if c.closed.Load() {
		return c.wrap(op, net.ErrClosed)
	}
	c.s.call(func(now int64) {
		if !c.gone {
			f(now)
			c.s.finish(c, now)
		}
	})
	return nil
}

// SetCongestion changes the congestion control algorithm. The window stays as it is.
func (c *TCPConn) SetCongestion(to Congestion) error {
	if to > NewReno {
		return c.wrap("set", fmt.Errorf("congestion control %d: want CUBIC or NewReno", to))
	}
	return c.do("set", func(int64) { c.tcp.SetCongestion(tcp.Congestion(to)) })
}

// SetPacing says whether what a window allows is spread over the round trip, and, if rate is
// above 0, at how many bytes per second at most (Linux: SO_MAX_PACING_RATE).
func (c *TCPConn) SetPacing(on bool, rate int64) error {
	return c.do("set", func(int64) { c.tcp.SetPacing(on, rate) })
}

// SetReadBuffer sets how many bytes may wait to be read, as long as the application does not
// read; it no longer grows then. Bytes that the peer was promised room for already still fit.
func (c *TCPConn) SetReadBuffer(bytes int) error {
	if bytes <= 0 {
		return c.wrap("set", os.NewSyscallError("setsockopt", syscall.EINVAL))
	}
	return c.do("set", func(int64) { c.tcp.SetReceiveBuffer(bytes) })
}

// SetWriteBuffer sets how many bytes may be written that the peer has not acknowledged, at
// most; there may be fewer as long as the congestion window is small.
func (c *TCPConn) SetWriteBuffer(bytes int) error {
	if bytes <= 0 {
		return c.wrap("set", os.NewSyscallError("setsockopt", syscall.EINVAL))
	}
	c.snd.mu.Lock()
	defer c.snd.mu.Unlock()
	c.snd.most = bytes
	c.snd.limit = min(c.snd.limit, bytes)
	return nil
}

// SetLinger says what Close does with bytes that were not sent or not acknowledged: with
// sec 0 they are dropped and the connection is reset, as by Abort; else they are delivered in
// the background, for as long as the user timeout lets them.
func (c *TCPConn) SetLinger(sec int) error {
	if c.closed.Load() {
		return c.wrap("set", net.ErrClosed)
	}
	c.abrupt.Store(sec == 0)
	return nil
}
