package userstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
	"github.com/stackmeter/stackmeter/ustack"
)

// conn is a TCP connection of a flow.
type conn struct {
	watching
	c        *ustack.TCPConn
	st       *stack
	polled   bool
	lowWater int // bytes that a call that waits waits for
	noDelay  bool
}

// newConn makes a transport of an open connection.
func newConn(st *stack, c *ustack.TCPConn, f *load.FlowSpec, o load.DialOptions) (*conn, error) {
	t := &conn{c: c, st: st, polled: o.Polled, lowWater: f.LowWaterBytes, noDelay: f.NoDelay}
	if !f.NoDelay { // the stack begins without Nagle's algorithm
		if err := c.SetNoDelay(false); err != nil {
			return nil, err
		}
	}
	if o.Polled {
		c.Notify(t.notify)
	}
	return t, nil
}

// dial connects and says whose the connection is.
func (st *stack) dial(f *load.FlowSpec, id int, to netip.AddrPort, o load.DialOptions) (load.Transport, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.Timeout, fmt.Errorf("no answer within %v", o.Timeout))
	defer cancel()
	n, err := st.Dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %v over the user-space stack: %w", to, errors.Join(err, context.Cause(ctx)))
	}
	c := n.(*ustack.TCPConn)
	if _, err := c.Write(wire.Opening(f, id)); err != nil {
		_ = c.Abort()
		return nil, fmt.Errorf("send the token: %w", err)
	}
	return newConn(st, c, f, o)
}

func (t *conn) Send(b []byte) (int, unix.Errno) {
	var n int
	var err error
	if t.polled {
		n, err = t.c.TryWrite(b)
	} else {
		n, err = t.c.Write(b)
	}
	if n > 0 {
		return n, 0
	}
	return 0, errno(err)
}

func (t *conn) Recv(b []byte) (int, unix.Errno) {
	if t.polled {
		n, err := t.c.TryRead(b)
		return n, errno(err)
	}
	n := 0
	for {
		k, err := t.c.Read(b[n:])
		if n += k; err != nil && n == 0 {
			return 0, errno(err)
		}
		if err != nil || n >= min(t.lowWater, len(b)) {
			return n, 0
		}
	}
}

// errno is an error as load knows it; the end of the stream is none.
func errno(err error) unix.Errno {
	if err == nil || err == io.EOF {
		return 0
	}
	if e, ok := err.(unix.Errno); ok {
		return e
	}
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return e
	}
	return unix.ECANCELED // closed by ourselves, or the device is gone
}

func (t *conn) ready(want load.Wait) bool {
	r, w := t.c.Ready(want&load.Readable != 0, want&load.Writable != 0)
	return r || w
}

func (t *conn) Info() load.SocketInfo { return t.st.socket(t.c, t.noDelay) }

// socket is what the stack says of a connection.
func (st *stack) socket(c *ustack.TCPConn, noDelay bool) load.SocketInfo {
	i := c.Info()
	out := load.SocketInfo{
		Congestion: st.control, SendBufferBytes: st.send, ReceiveBufferBytes: i.ReceiveBuffer, NoDelay: noDelay,
		Retransmits: i.Retransmits, MaxSegmentBytes: uint32(i.MaxSegment),
		RTTMicroseconds: uint32(i.RTT / time.Microsecond), RTTVarMicroseconds: uint32(i.RTTVar / time.Microsecond),
		MinRTTMicroseconds: uint32(i.MinRTT / time.Microsecond),
	}
	if i.MaxSegment > 0 {
		out.CongestionWindow = uint32(i.CongestionWindow / i.MaxSegment)
	}
	return out
}

// Abort ends both directions with grace: blocked calls return, the other end sees the end of
// the stream behind all that was written.
func (t *conn) Abort() {
	_ = t.c.CloseWrite()
	_ = t.c.CloseRead()
}

func (t *conn) Close() { _ = t.c.Close() }
