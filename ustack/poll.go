package ustack

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// ErrWouldBlock is what the calls that do not wait return where they would have to. It is
// EAGAIN, and not wrapped.
var ErrWouldBlock error = syscall.EAGAIN

// bell is what programs that wait for many connections at once hang on each of them.
type bell struct{ ring atomic.Pointer[func()] }

// notify rings.
func (b *bell) notify() {
	if f := b.ring.Load(); f != nil {
		(*f)()
	}
}

// Notify makes the stack call f wherever it would wake a goroutine that is blocked in Read
// or Write, or in the dialing of the connection, for programs that serve many connections
// with a few goroutines; nil ends it. f runs in the middle of the stack's work: it must be
// quick and must not call the stack. It is called once for each time that [TCPConn.TryRead],
// [TCPConn.TryWrite] or [TCPConn.Ready] said that there is nothing to do, and may be called
// for no reason.
func (c *TCPConn) Notify(f func()) {
	if f == nil {
		c.rx.ring.Store(nil)
		c.snd.ring.Store(nil)
		return
	}
	c.rx.ring.Store(&f)
	c.snd.ring.Store(&f)
}

// TryRead is Read that does not wait.
func (c *TCPConn) TryRead(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.readMu.Lock()
	defer c.doneReading()
	if c.closed.Load() {
		return 0, c.wrap("read", net.ErrClosed)
	}
	if c.held.Head == nil {
		if _, err := c.rx.take(&c.held, false); err != nil {
			return 0, c.wrap("read", err)
		}
	}
	if c.held.Head == nil {
		c.tellConsumed()
		return 0, ErrWouldBlock
	}
	return c.copyHeld(b), nil
}

// TryWrite is Write that does not wait: it writes as much as there is room for.
func (c *TCPConn) TryWrite(b []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	n := 0
	for n < len(b) {
		room, err := c.snd.reserve(&c.s.chunks, len(b)-n)
		if err != nil && n == 0 {
			return 0, c.wrap("write", err)
		}
		if room == nil {
			break
		}
		k := c.st.sendCopy(room, b[n:])
		c.snd.commit(k)
		n += k
	}
	if n == 0 && len(b) > 0 {
		return 0, ErrWouldBlock
	}
	c.post()
	return n, nil
}

// Ready reports whether there is something to read, be it the end, and whether there is
// room worth a write, for those of the two that are asked for. For what is not there it asks
// for a notification.
func (c *TCPConn) Ready(read, write bool) (readable, writable bool) {
	if read {
		if readable = c.rx.look(); !readable {
			c.readMu.Lock()
			readable = c.held.Head != nil
			c.readMu.Unlock()
		}
		if !readable {
			c.tellConsumed()
		}
	}
	return readable, write && c.snd.look()
}

// look reports whether there is something to take, and asks to be woken if not.
func (q *receiveQueue) look() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list.Head != nil || q.ended {
		return true
	}
	q.waiting = true
	return false
}

// look reports whether the buffer has as much room as a writer is woken for, and asks to
// be woken if not.
func (b *sendBuffer) look() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || b.shut || b.limit-b.n >= b.limit/3 {
		return true
	}
	b.waiting = true
	return false
}

// Open begins a connection to a TCP address and does not wait for it. ring is as for
// [TCPConn.Notify]; it may be nil. Until [TCPConn.Opened] says that it is open the
// connection must not be read from or written to.
func (st *Stack) Open(to netip.AddrPort, ring func()) (*TCPConn, error) {
	dst := wire.AddrOf(to.Addr())
	fail := func(err error) (*TCPConn, error) {
		return nil, opError("dial", nil, tcpAddr(dst, to.Port()), err)
	}
	src, _, err := st.source(dst)
	if err != nil {
		return fail(err)
	}
	s := st.shards[int(st.turn.Add(1))%len(st.shards)]
	var c *TCPConn
	s.call(func(now int64) {
		if c, err = s.openActive(src, dst, to.Port(), make(chan error, 1), now); err == nil && ring != nil {
			c.Notify(ring) // nothing can have arrived: the shard is in hand
		}
	})
	if err != nil {
		return fail(err)
	}
	return c, nil
}

// Opened returns nil once a connection that was begun with [Stack.Open] is open,
// ErrWouldBlock before that, and an error if it failed.
func (c *TCPConn) Opened() error {
	c.s.mu.Lock()
	defer c.s.unlock()
	switch {
	case c.opened:
		return nil
	case !c.gone:
		return ErrWouldBlock
	}
	c.snd.mu.Lock()
	defer c.snd.mu.Unlock()
	return opError("dial", c.LocalAddr(), c.RemoteAddr(), c.snd.err)
}

// Notify makes the stack call f when a connection is ready to be accepted; nil ends it.
// f must be quick and must not call the stack.
func (l *Listener) Notify(f func()) {
	if f == nil {
		l.ring.Store(nil)
		return
	}
	l.ring.Store(&f)
}

// Ready reports whether a connection is there to be accepted.
func (l *Listener) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || len(l.queue) > 0
}

// TryAccept is AcceptTCP that does not wait.
func (l *Listener) TryAccept() (*TCPConn, error) {
	c, err := l.pop()
	if err != nil {
		return nil, l.fail(err)
	}
	if c == nil {
		return nil, ErrWouldBlock
	}
	l.places.Add(-1)
	return c, nil
}
