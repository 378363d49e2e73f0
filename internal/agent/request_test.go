package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stackmeter/stackmeter/internal/load"
)

// FuzzRequest makes params out of requests of anybody's who holds the key, and holds them
// against the limits: testdata holds what it begins with.
func FuzzRequest(f *testing.F) {
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, body []byte) {
		var r request
		if json.Unmarshal(body, &r) != nil {
			return
		}
		h, ok := methods[r.Method]
		if !ok {
			answer := (&session{}).answer(t.Context(), r)
			if answer.Error == nil || answer.Error.Code != "bad-request" {
				t.Fatalf("an unknown method is answered with %+v", answer)
			}
			return
		}
		params, err := h.decode(r.Params)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code != "bad-request" {
				t.Fatalf("refused with %v, want a bad request", err)
			}
			return
		}
		once, err := json.Marshal(params)
		if err != nil {
			t.Fatalf("what was taken can't be sent: %v", err)
		}
		again, err := h.decode(once)
		if err != nil {
			t.Fatalf("what was taken is refused when sent again: %v", err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s (%v)", once, twice, err)
		}
		switch p := params.(type) {
		case load.Spec:
			if limits.check(p) != nil || p.Validate() != nil {
				return
			}
			limits.BitsPerSecond = 1e9
			limits.pace(&p)
			if p.FlowCount() <= 0 || p.FlowCount() > limits.Flows || p.Lifetime > limits.Lifetime {
				t.Fatalf("over the limits: %d flows for %v", p.FlowCount(), p.Lifetime)
			}
		case Measure:
			if limits.checkWindow(p.Window, 1) == nil && p.Window.Length/p.Window.Interval > load.MaxSamples {
				t.Fatalf("%v gives %d samples", p.Window, p.Window.Length/p.Window.Interval)
			}
		}
	})
}
