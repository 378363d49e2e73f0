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
type handler struct {
	decode func(json.RawMessage) (any, error) // makes the params
	serve  func(ctx context.Context, s *session, params any) (any, error)
}

// methods are the calls that a session answers.
var methods = map[string]handler{
	"addresses": method((*session).addresses),
	"hello":     method((*session).introduced),
	"clock":     method((*session).clock),
	"configure": method((*session).configure),
	"tunables":  method((*session).tunables),
	"prepare":   fewObjects(method((*session).prepare)),
	"connect":   method((*session).connect),
	"place":     method((*session).place),
	"go":        method((*session).start),
	"await":     method((*session).await),
	"measure":   method((*session).measure),
	"confirm":   method((*session).confirmNow),
	"stop":      method((*session).stop),
	"release":   method((*session).release),
}

func method[P, R any](f func(*session, context.Context, P) (R, error)) handler {
	return handler{
		decode: func(raw json.RawMessage) (any, error) {
			var p P
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
				return nil, &Error{Code: "bad-request", Text: err.Error()}
			}
			return p, nil
		},
		serve: func(ctx context.Context, s *session, params any) (any, error) { return f(s, ctx, params.(P)) },
	}
}

// maxObjects is how many JSON objects a request holds that says anything with them.
const maxObjects = maxRequest / 128

// fewObjects bounds what params become: three bytes that came can be a flow of hundreds here.
func fewObjects(h handler) handler {
	decode := h.decode
	h.decode = func(raw json.RawMessage) (any, error) {
		if n := bytes.Count(raw, []byte("{")); n > maxObjects {
			return nil, &Error{Code: "bad-request", Text: fmt.Sprintf("params of %d objects, this agent takes %d: give flows that are alike as one, with their count", n, maxObjects)}
		}
		return decode(raw)
	}
	return h
}

// NotRestoredError says what a session could not put back on its host.
type NotRestoredError struct{ Err error }

func (e *NotRestoredError) Error() string { return e.Err.Error() }
func (e *NotRestoredError) Unwrap() error { return e.Err }

func (s *session) answer(ctx context.Context, r request) response {
	result, err := s.handle(ctx, r)
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

func (s *session) handle(ctx context.Context, r request) (any, error) {
	h, ok := methods[r.Method]
	if !ok {
		return nil, &Error{Code: "bad-request", Text: fmt.Sprintf("method %q: unknown", r.Method)}
	}
	params, err := h.decode(r.Params)
	if err != nil {
		return nil, err
	}
	return h.serve(ctx, s, params)
}

// introduced answers hello and notes for whom.
func (s *session) introduced(ctx context.Context, p helloParams) (Hello, error) {
	s.monitor.introduce(p.Run)
	return s.hello(ctx, p)
}
