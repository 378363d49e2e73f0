package ustack

import (
	"iter"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Borrowed is received bytes in the memory that they arrived in, which the stack lends:
// for applications that look at bytes, or pass them on, and need no copy.
//
// What is borrowed counts as unread, and so holds the peer back, until it is given back
// with Release.
type Borrowed struct {
	c    *TCPConn
	list frame.List
	n    int
}

// Borrow waits for bytes as Read does and lends all that are there. The zero Borrowed
// and an error tell the end of the stream.
func (c *TCPConn) Borrow() (Borrowed, error) {
	c.readMu.Lock()
	defer c.doneReading()
	if _, err := c.fill(false); err != nil {
		return Borrowed{}, c.wrap("read", err)
	}
	b := Borrowed{c: c, list: c.held}
	c.held = frame.List{}
	for f := b.list.Head; f != nil; f = f.Next {
		b.n += f.Len()
	}
	return b, nil
}

// Len returns the number of bytes.
func (b *Borrowed) Len() int { return b.n }

// Pieces ranges over the bytes in their order, a frame's at a time. The application may
// change them in place; it must not keep them beyond Release.
func (b *Borrowed) Pieces() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for f := b.list.Head; f != nil; f = f.Next {
			if !yield(f.Bytes()) {
				return
			}
		}
	}
}

// Release gives the memory back and lets the peer send as many bytes more. It may be
// called once or more, by any goroutine, also after the connection was closed.
func (b *Borrowed) Release() {
	if b.list.Head == nil {
		return
	}
	frame.Free(b.list.Head)
	b.list = frame.List{}
	b.c.read(b.n)
	b.n = 0
}
