package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// errNoCall is returned by progress outside of a call.
var errNoCall = errors.New("progress belongs to no call")

// errHasty ends a session whose controller does not wait for its answers.
var errHasty = fmt.Errorf("%w: a call before the last one was answered", ErrFrame)

// conversation is the agent's end of a control connection. What it holds of what a
// controller sends is at most two requests: the one that is answered, and the next.
type conversation struct {
	conn net.Conn

	mu      sync.Mutex // guards the writing side
	calling string     // the method that is being answered
}

// listen passes requests on until the stream ends, and returns why.
func (c *conversation) listen(calls chan<- request) error {
	defer close(calls)
	for {
		var r request
		if err := readFrame(c.conn, &r, maxRequest); err != nil {
			return err
		}
		select {
		case calls <- r:
		default:
			return errHasty
		}
	}
}

// begin notes that a call is being answered.
func (c *conversation) begin(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calling = method
}

// end writes the answer to the call.
func (c *conversation) end(r response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calling = ""
	return c.write(r)
}

// progress writes a sign of life of the call that is being answered.
func (c *conversation) progress(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calling == "" {
		return errNoCall
	}
	return c.write(response{Progress: raw})
}

// write gives a controller that does not read as long as it gives us.
func (c *conversation) write(r response) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	return writeFrame(c.conn, r, maxResponse)
}

// link is what a session has of its connection. Its zero value has none.
type link struct {
	conversation *conversation
}

// progress tells the controller, in the middle of a call and from any goroutine, how it
// goes: v becomes one frame before the call's answer. It may block as long as the connection does.
func (l *link) progress(v any) error {
	if l.conversation == nil {
		return nil
	}
	return l.conversation.progress(v)
}

// Serve runs one session over conn, which it owns, and returns when the controller hangs
// up or ctx ends. Everything that the session changed or started is put back before it
// returns; what could not be is a [NotRestoredError]. Any other error is about what the
// controller sent.
func Serve(ctx context.Context, conn net.Conn, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newSession(o)
	c := &conversation{conn: conn}
	s.link = link{conversation: c}
	calls := make(chan request, 1)
	ended := make(chan error, 1)
	go func() { // owned by this call: it ends when conn is closed below
		defer cancel()
		ended <- c.listen(calls)
	}()
	fault := s.converse(ctx, calls)
	conn.Close()
	if err := <-ended; errors.Is(err, ErrFrame) {
		fault = err
	} else if !errors.Is(fault, ErrFrame) {
		fault = nil // the controller hung up, be it in a call: how every session ends
	}
	if err := s.close(); err != nil {
		return errors.Join(fault, &NotRestoredError{err})
	}
	return fault
}

// converse answers calls until there are no more, and returns why.
func (s *session) converse(ctx context.Context, calls <-chan request) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r, ok := <-calls:
			if !ok {
				return nil
			}
			s.conversation.begin(r.Method)
			if err := s.conversation.end(s.answer(ctx, r)); err != nil {
				return err
			}
		}
	}
}
