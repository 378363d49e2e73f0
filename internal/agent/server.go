package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// handler serves one method of a session.
type handler func(ctx context.Context, s *session, params json.RawMessage) (any, error)

// methods are the calls that a session answers.
var methods = map[string]handler{
	"hello":     method((*session).hello),
	"configure": method((*session).configure),
	"prepare":   method((*session).prepare),
	"connect":   method((*session).connect),
	"place":     method((*session).place),
	"go":        method((*session).start),
	"measure":   method((*session).measure),
	"confirm":   method((*session).confirmNow),
	"stop":      method((*session).stop),
	"release":   method((*session).release),
}

func method[P, R any](f func(*session, context.Context, P) (R, error)) handler {
	return func(ctx context.Context, s *session, params json.RawMessage) (any, error) {
		var p P
		dec := json.NewDecoder(bytes.NewReader(params))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
			return nil, &Error{Code: "bad-request", Text: err.Error()}
		}
		return f(s, ctx, p)
	}
}

// NotRestoredError says what a session could not put back on its host.
type NotRestoredError struct{ Err error }

func (e *NotRestoredError) Error() string { return e.Err.Error() }
func (e *NotRestoredError) Unwrap() error { return e.Err }

// Serve runs one session over conn and returns when the controller hangs up or
// ctx ends. Everything that the session changed or started is put back before it
// returns; what could not be is a [NotRestoredError]. Any other error is about what the
// controller sent.
func Serve(ctx context.Context, conn io.ReadWriteCloser, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newSession(o)
	calls := make(chan request)
	ended := make(chan error, 1)
	go func() { // owned by this call: it ends when conn is closed below
		defer close(calls)
		defer cancel()
		for {
			var r request
			if err := readFrame(conn, &r, maxRequest); err != nil {
				ended <- err
				return
			}
			select {
			case calls <- r:
			case <-ctx.Done():
				ended <- context.Cause(ctx)
				return
			}
		}
	}()
	var fault error
	for fault == nil {
		select {
		case <-ctx.Done():
			fault = context.Cause(ctx)
		case r, ok := <-calls:
			if !ok {
				fault = io.EOF
				break
			}
			fault = writeFrame(conn, s.answer(ctx, r), maxResponse)
		}
	}
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

func (s *session) answer(ctx context.Context, r request) response {
	h, ok := methods[r.Method]
	if !ok {
		return response{Error: &Error{Code: "bad-request", Text: fmt.Sprintf("method %q: unknown", r.Method)}}
	}
	result, err := h(ctx, s, r.Params)
	if err != nil {
		e := &Error{Code: "failed", Text: err.Error()}
		errors.As(err, &e)
		return response{Error: e}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return response{Error: &Error{Code: "failed", Text: err.Error()}}
	}
	return response{Result: raw}
}
