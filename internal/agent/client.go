package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// Client is a controller's end of a session with the agent of one host. Calls
// are made one at a time. When a call's context ends the session ends with it, and
// the agent puts its host back.
type Client struct {
	Name     string // "server", "client", or the host's address
	conn     net.Conn
	wait     func() error // waits for an agent that we started ourselves
	pid      int
	patience time.Duration // for an answer
	flows    int           // of the load that was prepared last
	gone     bool          // the session is over: no call can be answered
}

// ErrGone is wrapped by the error of a call that ended the session: the agent hung
// up, did not answer in time or answered what is no answer. Nothing more can be had of it.
var ErrGone = errors.New("the agent is gone")

// answerTimeout is how long a call may take beside the window that it waits for. Making
// connections takes at most ten seconds, a CPU goes on or off within one.
const answerTimeout = time.Minute

// NewClient speaks to an agent over conn, which it owns.
func NewClient(name string, conn net.Conn) *Client {
	return &Client{Name: name, conn: conn, wait: func() error { return nil }, patience: answerTimeout}
}

// Close ends the session. For an agent that was started for it, it waits until
// the host is put back and returns what could not be.
func (c *Client) Close() error {
	c.conn.Close()
	return c.wait()
}

func (c *Client) call(ctx context.Context, method string, params, result any) error {
	return c.callFor(ctx, 0, method, params, result)
}

// callFor gives the agent its patience and, for what the call itself waits for, wait.
func (c *Client) callFor(ctx context.Context, wait time.Duration, method string, params, result any) error {
	return c.callProgress(ctx, waiting{silence: wait, all: wait}, method, params, result, nil)
}

// waiting is how long a call may take beside the client's patience.
type waiting struct {
	silence time.Duration // until the next sign of life: progress or the answer
	all     time.Duration // until the answer
}

// callProgress makes a call that tells how it goes: each, where not nil, gets the progress as
// it comes, in order, and ends the session with an error of its own. No progress makes the
// agent one that is gone after the time of silence, and the client's patience.
func (c *Client) callProgress(ctx context.Context, w waiting, method string, params, result any, each func(json.RawMessage) error) error {
	if c.gone {
		return fmt.Errorf("%s: call %q: %w", c.Name, method, ErrGone)
	}
	late := func(d time.Duration) error {
		return fmt.Errorf("%s: %w: no answer to the call %q within %v", c.Name, ErrGone, method, d)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.all+c.patience, late(w.all+c.patience))
	defer cancel()
	ctx, silent := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(w.silence+c.patience, func() { silent(late(w.silence + c.patience)) })
	defer quiet.Stop()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	said, err := c.exchange(method, params, result, func(progress json.RawMessage) error {
		quiet.Reset(w.silence + c.patience)
		if each == nil {
			return nil
		}
		return each(progress)
	})
	switch {
	case said != nil:
		return fmt.Errorf("%s: %w", c.Name, said)
	case err == nil:
		return nil
	}
	c.gone = true
	c.conn.Close()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w: it hung up in the call %q", c.Name, ErrGone, method)
	}
	return fmt.Errorf("%s: %w: call %q: %w", c.Name, ErrGone, method, err)
}

// exchange returns what the agent said against the call, or why there is no answer.
func (c *Client) exchange(method string, params, result any, progress func(json.RawMessage) error) (*Error, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	if err := writeFrame(c.conn, request{Method: method, Params: raw}, maxRequest); err != nil {
		return nil, err
	}
	for {
		var r response
		if err := readFrame(c.conn, &r, maxResponse); err != nil {
			return nil, err
		}
		switch {
		case r.Error != nil:
			return r.Error, nil
		case r.Progress == nil:
			return nil, json.Unmarshal(r.Result, result)
		}
		if err := progress(r.Progress); err != nil {
			return nil, err
		}
	}
}

func invoke[R any](ctx context.Context, c *Client, method string, params any) (R, error) {
	var r R
	err := c.call(ctx, method, params, &r)
	return r, err
}

// Introduction is what a controller says of itself.
type Introduction struct {
	// Measures makes the agent open its source of CPU time, and tell what it lacks.
	Measures bool
	// Run names what the agent is wanted for, to others who want it too and in its log; at
	// most 64 bytes of it count.
	Run string
}

// Hello introduces a controller that has no name for its run, see [Client.Introduce].
func (c *Client) Hello(ctx context.Context, measures bool) (Hello, error) {
	return c.Introduce(ctx, Introduction{Measures: measures})
}

// Introduce makes controller and agent known to each other; it must be the first call.
func (c *Client) Introduce(ctx context.Context, i Introduction) (Hello, error) {
	h, err := invoke[Hello](ctx, c, "hello", helloParams(i))
	if err == nil && h.Protocol != Protocol {
		err = fmt.Errorf("%s: the agent speaks protocol %d, this program %d: install the same version on both", c.Name, h.Protocol, Protocol)
	}
	return h, err
}

// Configure sets the host's NICs and CPUs and returns what is in force.
func (c *Client) Configure(ctx context.Context, p Configure) (Configured, error) {
	return invoke[Configured](ctx, c, "configure", p)
}

// Tunables lists the settings of the host and of NICs that Configure can tune. It changes
// nothing.
func (c *Client) Tunables(ctx context.Context, of TunablesOf) ([]Tunable, error) {
	return invoke[[]Tunable](ctx, c, "tunables", of)
}

// Prepare starts the workers of this host's part of the load.
func (c *Client) Prepare(ctx context.Context, s load.Spec) (Prepared, error) {
	c.flows = s.FlowCount()
	return invoke[Prepared](ctx, c, "prepare", s)
}

// Connect makes the data connections. It may take a millisecond a flow beside the client's
// patience.
func (c *Client) Connect(ctx context.Context, p Connect) error {
	var r none
	return c.callFor(ctx, time.Duration(c.flows)*time.Millisecond, "connect", p, &r)
}

// Place fixes where work runs.
func (c *Client) Place(ctx context.Context, p Place) (Placed, error) {
	return invoke[Placed](ctx, c, "place", p)
}

// Go starts the load.
func (c *Client) Go(ctx context.Context, p Start) error {
	_, err := invoke[none](ctx, c, "go", p)
	return err
}

// Await waits until every flow of the load carries payload.
func (c *Client) Await(ctx context.Context, p Await) (Carrying, error) {
	var r Carrying
	err := c.callFor(ctx, p.Timeout, "await", p, &r)
	return r, err
}

// Measure measures one window and returns when it has closed. Each, where not nil, is told
// of each interval as it ends; the agent is then gone when it is silent for longer than an
// interval and the client's patience.
func (c *Client) Measure(ctx context.Context, m Measure, each func(Interval)) (Measured, error) {
	w := waiting{all: m.Window.Length}
	if m.Window.Open > 0 { // by the agent's clock
		w.all += load.MaxDuration
	}
	w.silence = w.all
	if m.Tell = each != nil; m.Tell {
		w.silence = m.Window.Interval + lead
	}
	var r Measured
	err := c.callProgress(ctx, w, "measure", m, &r, func(raw json.RawMessage) error {
		var i Interval
		if err := json.Unmarshal(raw, &i); err != nil {
			return err
		}
		if each != nil {
			each(i)
		}
		return nil
	})
	return r, err
}

// lead is how long before a window opens it may be asked for.
const lead = 10 * time.Second

// Confirm reads back what was configured and placed, on a host that does not measure; an
// error says what is not in force. Measure does the same by itself.
func (c *Client) Confirm(ctx context.Context) (Confirmed, error) {
	return invoke[Confirmed](ctx, c, "confirm", none{})
}

// Stop ends the load; senders first.
func (c *Client) Stop(ctx context.Context, grace time.Duration) (Stopped, error) {
	return invoke[Stopped](ctx, c, "stop", stopParams{Grace: grace})
}

// Release ends the workers and lets go of what was placed; settings stay.
func (c *Client) Release(ctx context.Context) error {
	_, err := invoke[none](ctx, c, "release", none{})
	return err
}
