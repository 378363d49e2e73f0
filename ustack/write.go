package ustack

import (
	"io"
	"net"
	"os"
)

// writeBunch is how many bytes are copied before the shard is told of them, so that it
// sends the first while the rest is copied.
const writeBunch = 64 << 10

// answerMax is how many bytes, written at once, may wait for those of others to leave
// with them.
const answerMax = 4 << 10

// Write writes b to the send buffer, waiting for room as often as need be. It returns
// when all of b is in the buffer, which does not mean that the peer has it.
func (c *TCPConn) Write(b []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	n, untold := 0, 0
	for n < len(b) || n == 0 {
		if c.closed.Load() {
			return n, c.wrap("write", net.ErrClosed)
		}
		room, err := c.room(len(b)-n, &untold)
		if err != nil || len(b) == 0 {
			return n, c.wrap("write", err)
		}
		k := c.st.sendCopy(room, b[n:])
		shut := c.snd.commit(k)
		n += k
		if untold += k; untold >= writeBunch || shut {
			untold = 0
			c.post()
		}
	}
	switch {
	case untold == 0:
	case n <= answerMax:
		c.answer()
	default:
		c.post()
	}
	return n, nil
}

// room waits for room in the send buffer and returns some, for at most n bytes. What
// was written and not told is told before it waits.
func (c *TCPConn) room(n int, untold *int) ([]byte, error) {
	for {
		if c.writeDeadline.passed.Load() {
			if *untold > 0 {
				c.post()
			}
			return nil, os.ErrDeadlineExceeded
		}
		room, err := c.snd.reserve(&c.s.chunks, n)
		if room != nil || err != nil || n == 0 {
			return room, err
		}
		if *untold > 0 {
			*untold = 0
			c.post()
			continue
		}
		select {
		case <-c.snd.room:
		case <-c.writeDeadline.wait():
		}
	}
}

// ReadFrom implements io.ReaderFrom: it reads from r into the send buffer, with no copy
// of its own, until r ends.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	var sum int64
	untold := 0
	for {
		room, err := c.room(chunkSize, &untold)
		if err != nil {
			return sum, c.wrap("write", err)
		}
		n, err := r.Read(room)
		if shut := c.snd.commit(n); n > 0 || shut {
			c.post()
		}
		sum += int64(n)
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
	}
}
