package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
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
	monitor      *monitor // nil: nobody looks
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
// controller sent or did not send.
func Serve(ctx context.Context, conn net.Conn, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newSession(o)
	c := &conversation{conn: conn}
	s.link = link{conversation: c, monitor: o.monitor}
	calls := make(chan request, 1)
	ended := make(chan error, 1)
	go func() { // owned by this call: it ends when conn is closed below
		defer conn.Close() // an answer that is being written is not waited for
		defer cancel()
		ended <- c.listen(calls)
	}()
	fault := s.converse(ctx, calls)
	s.monitor.end()
	conn.Close()
	fault = whyEnded(fault, <-ended)
	if err := s.close(); err != nil {
		return errors.Join(fault, &NotRestoredError{err})
	}
	return fault
}

// whyEnded makes one error of how the two sides of a conversation ended; nil where the controller
// hung up, be it in a call, or the agent was told to end.
func whyEnded(writing, reading error) error {
	switch {
	case errors.Is(reading, ErrFrame):
		return reading
	case errors.Is(reading, syscall.ETIMEDOUT), errors.Is(reading, syscall.EHOSTUNREACH), errors.Is(reading, syscall.ENETUNREACH):
		return fmt.Errorf("the controller's host has vanished: %w", reading)
	case errors.Is(writing, ErrFrame), errors.Is(writing, errIdle):
		return writing
	case os.IsTimeout(writing):
		return fmt.Errorf("the controller did not take an answer within %v", answerTimeout)
	}
	return nil
}

// converse answers calls until there are no more, and returns why.
func (s *session) converse(ctx context.Context, calls <-chan request) error {
	for {
		idle, stop := s.idle()
		select {
		case <-ctx.Done():
			stop()
			return context.Cause(ctx)
		case <-idle:
			return fmt.Errorf("%w for %v", errIdle, s.idleAllowed())
		case r, ok := <-calls:
			stop()
			if !ok {
				return nil
			}
			s.monitor.call(r.Method)
			s.conversation.begin(r.Method)
			answer := s.answer(ctx, r)
			cut := ctx.Err() != nil
			if err := s.conversation.end(answer); err != nil {
				return err
			}
			if !cut {
				s.monitor.answered(s)
			}
		}
	}
}

// errIdle ends a session whose controller is dead or does nothing.
var errIdle = errors.New("the controller made no call")

// idleAllowed is how long the session may wait for a call; 0: for ever.
func (s *session) idleAllowed() time.Duration {
	if s.options.Idle > 0 && s.pool != nil {
		return s.options.Idle + s.spec.Lifetime
	}
	return s.options.Idle
}

// idle tells when the session has waited for too long, until stop.
func (s *session) idle() (out <-chan time.Time, stop func()) {
	d := s.idleAllowed()
	if d == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
