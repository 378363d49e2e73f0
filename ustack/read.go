package ustack

import (
	"io"
	"net"
	"os"
	"sync"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// receiveQueue holds bytes in order between the shard and the reader.
type receiveQueue struct {
	mu      sync.Mutex
	list    frame.List
	ended   bool  // no more will come: io.EOF behind the list
	closed  bool  // nobody will read
	err     error // instead of io.EOF
	waiting bool
	ready   chan struct{}
	bell
	folding *folding // nil: checksums are verified on arrival
}

// put appends bytes, and their end, and reports whether it woke a reader.
func (q *receiveQueue) put(l *frame.List, ended bool) (woke bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		frame.Free(l.Head)
		*l = frame.List{}
		return false
	}
	q.list.Join(l)
	q.ended = q.ended || ended
	woke = q.waiting && (q.list.Head != nil || q.ended)
	if woke {
		q.waiting = false
	}
	q.mu.Unlock()
	if woke {
		q.wake()
	}
	return woke
}

// wake wakes who waits for bytes.
func (q *receiveQueue) wake() {
	signal(q.ready)
	q.notify()
}

// end says that no more bytes will come, because of err if it is not nil.
func (q *receiveQueue) end(err error) {
	q.mu.Lock()
	if !q.ended {
		q.ended, q.err = true, err
	}
	q.waiting = false
	q.mu.Unlock()
	q.wake()
}

// close drops what nobody will read.
func (q *receiveQueue) close() {
	q.mu.Lock()
	l := q.list
	q.list = frame.List{}
	q.closed, q.ended, q.err, q.waiting = true, true, net.ErrClosed, false
	q.mu.Unlock()
	frame.Free(l.Head)
	q.wake()
}

// take moves all bytes to l. If there are none it returns why: io.EOF, an error, or nil
// if the reader must wait. With fold it returns true if there are segments whose bytes
// the reader is to sum itself; they come behind all others.
func (q *receiveQueue) take(l *frame.List, fold bool) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.list.Head != nil:
		l.Join(&q.list)
	case fold && q.folding.ready():
		return true, nil
	case q.err != nil:
		return false, q.err
	case q.ended:
		return false, io.EOF
	default:
		q.waiting = true
		if fold {
			q.folding.present = true
		}
	}
	return false, nil
}

// fill waits until the reader holds bytes, or, with fold, there are segments to sum,
// for which it returns true. c.readMu is held.
func (c *TCPConn) fill(fold bool) (bool, error) {
	for {
		if c.closed.Load() {
			c.dropHeld()
			return false, net.ErrClosed
		}
		if c.readDeadline.passed.Load() {
			return false, os.ErrDeadlineExceeded
		}
		if c.held.Head != nil {
			return false, nil
		}
		folded, err := c.rx.take(&c.held, fold)
		if err != nil || folded {
			return folded, err
		}
		if c.held.Head != nil {
			continue
		}
		c.tellConsumed()
		select {
		case <-c.rx.ready:
		case <-c.readDeadline.wait():
		}
	}
}

// tellConsumed gives the peer window before the reader waits: it may wait for that.
func (c *TCPConn) tellConsumed() {
	if n := c.consumed.Load(); n > 0 && n >= c.tellAt.Load()/2 {
		c.post()
	}
}

// Read reads up to len(b) bytes: as many as are there, at least one.
func (c *TCPConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.readMu.Lock()
	defer c.doneReading()
	fold := c.rx.folding != nil
	for {
		folded, err := c.fill(fold)
		if err != nil {
			return 0, c.wrap("read", err)
		}
		if !folded {
			break
		}
		if n := c.foldInto(b); n > 0 {
			return n, nil
		}
	}
	return c.copyHeld(b), nil
}

// copyHeld moves bytes that the reader holds to b. c.readMu is held.
func (c *TCPConn) copyHeld(b []byte) int {
	n := 0
	var done frame.List
	for f := c.held.Head; f != nil && n < len(b); f = c.held.Head {
		k := c.st.toUser(b[n:], f.Bytes())
		n += k
		if k < f.Len() {
			f.TrimFront(k)
			break
		}
		done.Push(c.held.Pop())
	}
	frame.Free(done.Head)
	c.read(n)
	return n
}

// doneReading lets the next reader in.
func (c *TCPConn) doneReading() {
	if c.closed.Load() {
		c.dropHeld()
	}
	c.leaveFolding()
	c.readMu.Unlock()
}

// read notes that the application has read n bytes.
func (c *TCPConn) read(n int) {
	if c.consumed.Add(int64(n)) >= c.tellAt.Load() {
		c.post()
	}
}

// dropHeld frees what the reader has taken. c.readMu is held.
func (c *TCPConn) dropHeld() {
	frame.Free(c.held.Head)
	c.held = frame.List{}
}

// WriteTo implements io.WriterTo: it writes the received frames to w as they are, with
// no copy of its own, until the stream ends.
func (c *TCPConn) WriteTo(w io.Writer) (int64, error) {
	c.readMu.Lock()
	defer c.doneReading()
	var sum int64
	for {
		_, err := c.fill(false)
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, c.wrap("read", err)
		}
		f := c.held.Head
		n, err := w.Write(f.Bytes())
		sum += int64(n)
		c.read(n)
		if err != nil {
			f.TrimFront(n)
			return sum, err
		}
		frame.Free(c.held.Pop())
	}
}
