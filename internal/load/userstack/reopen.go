package userstack

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/ustack"
)

// shortLived is a transport that has one connection after the other.
type shortLived struct {
	watching
	*conn
	st     *stack
	flow   *load.FlowSpec
	polled bool
	ended  atomic.Bool
	last   load.SocketInfo
	bell   chan struct{} // of one that blocks
	timer  *time.Timer
}

func newShortLived(st *stack, f *load.FlowSpec, o load.DialOptions) shortLived {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return shortLived{
		st: st, flow: f, polled: o.Polled, bell: make(chan struct{}, 1), timer: t,
		last: load.SocketInfo{Congestion: st.control, SendBufferBytes: st.send, ReceiveBufferBytes: f.ReceiveBufferBytes, NoDelay: f.NoDelay},
	}
}

// ring is what the stack calls.
func (s *shortLived) ring() {
	s.notify()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// wait waits for a ring; it returns false after some time without one.
func (s *shortLived) wait() bool {
	s.timer.Reset(patience)
	select {
	case <-s.bell:
		return true
	case <-s.timer.C:
		return false
	}
}

// patience is how long one that blocks waits before it looks whether it is stopped.
const patience = 100 * time.Millisecond

// adopt makes a connection the one in hand. It rings already.
func (s *shortLived) adopt(c *ustack.TCPConn) unix.Errno {
	s.conn = &conn{c: c, st: s.st, polled: true}
	if !s.flow.NoDelay {
		if err := c.SetNoDelay(false); err != nil {
			return errno(err)
		}
	}
	return 0
}

// Send waits for room where the flow blocks.
func (s *shortLived) Send(b []byte) (int, unix.Errno) {
	for {
		n, errno := s.conn.Send(b)
		if errno != unix.EAGAIN || s.polled {
			return n, errno
		}
		if !s.wait() && s.ended.Load() {
			return 0, unix.ECANCELED
		}
	}
}

// Recv waits for some time where the flow blocks.
func (s *shortLived) Recv(b []byte) (int, unix.Errno) {
	for {
		n, errno := s.conn.Recv(b)
		if errno != unix.EAGAIN || s.polled || !s.wait() {
			return n, errno
		}
	}
}

// Hangup ends the connection.
func (s *shortLived) Hangup() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *shortLived) ready(want load.Wait) bool { return s.conn != nil && s.conn.ready(want) }

func (s *shortLived) enlist(m *member) { s.watching.enlist(m) }

func (s *shortLived) Info() load.SocketInfo { return s.last }
func (s *shortLived) Close()                { s.Hangup() }

// Abort makes the next Reopen fail.
func (s *shortLived) Abort() {
	s.ended.Store(true)
	s.ring()
}

// connector is the client's end of crr: each Reopen makes a new connection.
type connector struct {
	shortLived
	to      netip.AddrPort
	opening *ustack.TCPConn
	rings   func()
}

func newConnector(st *stack, f *load.FlowSpec, to netip.AddrPort, o load.DialOptions) *connector {
	c := &connector{shortLived: newShortLived(st, f, o), to: to}
	c.rings = c.ring
	return c
}

// Reopen closes the connection and connects anew.
func (c *connector) Reopen() unix.Errno {
	for {
		if c.ended.Load() {
			c.drop()
			return unix.ECANCELED
		}
		if c.opening == nil {
			c.Hangup()
			var err error
			if c.opening, err = c.st.Open(c.to, c.rings); err != nil {
				return errno(err)
			}
		}
		switch err := c.opening.Opened(); {
		case err == nil:
			opened := c.opening
			c.opening = nil
			return c.adopt(opened)
		case !errors.Is(err, ustack.ErrWouldBlock):
			c.drop()
			return errno(err)
		case c.polled:
			return unix.EAGAIN
		}
		c.wait()
	}
}

// drop gives up a connection that is being made.
func (c *connector) drop() {
	if c.opening != nil {
		_ = c.opening.Abort()
		c.opening = nil
	}
}

// ready of one that is connecting is known when it rings.
func (c *connector) ready(want load.Wait) bool {
	if c.opening != nil {
		return c.opening.Opened() != ustack.ErrWouldBlock
	}
	return c.shortLived.ready(want)
}

func (c *connector) Close() {
	c.drop()
	c.Hangup()
}

// acceptor is the server's end of crr: each Reopen accepts a connection.
type acceptor struct {
	shortLived
	l     *listener
	rings func()
}

func newAcceptor(l *listener, o load.DialOptions) *acceptor {
	a := &acceptor{shortLived: newShortLived(l.st, l.flow, o), l: l}
	a.rings = a.ring
	return a
}

// Reopen closes the connection and accepts the next.
func (a *acceptor) Reopen() unix.Errno {
	a.Hangup()
	if a.ended.Load() {
		return unix.ECANCELED
	}
	c, err := a.l.accept(a.polled)
	if err != nil {
		return errno(err)
	}
	c.Notify(a.rings)
	return a.adopt(c)
}
