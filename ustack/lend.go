package ustack

import "net"

// Loan is room in the send buffer of a connection, which the stack lends to be filled: for
// applications that make or read bytes, and need no copy of their own. It keeps other
// writers out until it is given back with Send, which must be called once.
type Loan struct {
	c    *TCPConn
	room []byte
}

// Lend waits for room in the send buffer, as Write does, and lends at most n bytes of it,
// and no more than 16 KiB.
func (c *TCPConn) Lend(n int) (Loan, error) {
	c.writeMu.Lock()
	if c.closed.Load() {
		c.writeMu.Unlock()
		return Loan{}, c.wrap("write", net.ErrClosed)
	}
	untold := 1 // perhaps: earlier loans may have been sent with more to come
	room, err := c.room(max(n, 1), &untold)
	if err != nil {
		c.writeMu.Unlock()
		return Loan{}, c.wrap("write", err)
	}
	return Loan{c, room}, nil
}

// Bytes is the room. It holds anything; it must not be used after Send.
func (l *Loan) Bytes() []byte { return l.room }

// Send gives the room back and writes its first n bytes to the connection. With more the
// stack is not told of them yet: it sends them with the next loan or Write, or where that
// has to wait for room. It panics if n is not within the room.
func (l *Loan) Send(n int, more bool) {
	c := l.c
	shut := c.snd.commit(len(l.room[:n]))
	l.c, l.room = nil, nil
	if !more || shut {
		c.post()
	}
	c.writeMu.Unlock()
}
