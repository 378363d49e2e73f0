package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestControllerVanishes hangs up after every phase and wants the session over
// at once and its workers gone.
func TestControllerVanishes(t *testing.T) {
	for _, p := range phases {
		t.Run(p, func(t *testing.T) {
			r, s := serve(t, defaults()), serve(t, defaults())
			advance(t, r.Client, s.Client, p)
			r.hangUp(t)
			s.hangUp(t)
			if n := children(t); n != 0 {
				t.Errorf("%d workers are left", n)
			}
		})
	}
}

// TestControllerVanishesInACall hangs up while the agent waits: for a sender that does not
// come, and for the end of a long window.
func TestControllerVanishesInACall(t *testing.T) {
	long := load.Window{Length: time.Minute, Interval: time.Minute}
	for name, call := range map[string]func(ctx context.Context, r, s *Client) error{
		"connect": func(ctx context.Context, r, _ *Client) error { return r.Connect(ctx, Connect{}) },
		"measure": func(ctx context.Context, r, _ *Client) error {
			_, err := r.Measure(ctx, Measure{Window: long, CPU: true}, nil)
			return err
		},
		"stop": func(ctx context.Context, r, _ *Client) error { // the senders are not stopped
			_, err := r.Stop(ctx, 10*time.Second)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := serve(t, defaults()), serve(t, defaults())
			advance(t, r.Client, s.Client, map[string]string{"connect": "prepare"}[name]+map[bool]string{true: "go"}[name != "connect"])
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			began := time.Now()
			if err := call(ctx, r.Client, s.Client); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call ended with %v, want the context's end", err)
			}
			r.hangUp(t)
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("took %v", d)
			}
			s.hangUp(t)
			if n := children(t); n != 0 {
				t.Errorf("%d workers are left", n)
			}
		})
	}
}

// TestBadRequests wants each refused with its reason, and the session unharmed.
func TestBadRequests(t *testing.T) {
	r := serve(t, defaults())
	receiver, _ := specs(2)
	with := func(change func(*load.Spec)) load.Spec {
		s := receiver
		s.Flows = append([]load.FlowSpec(nil), receiver.Flows...)
		change(&s)
		return s
	}
	type anything = map[string]any
	check := func(method string, params any, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var result any
		err := r.call(ctx, method, params, &result)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: %v, want an error with %q", method, params, err, want)
		}
	}
	check("fly", none{}, `method "fly": unknown`)
	check("", none{}, `method "": unknown`)
	check("hello", anything{"measures": true, "colour": "red"}, "colour")
	check("hello", "text", "cannot unmarshal")
	check("hello", []int{1}, "cannot unmarshal")
	for _, method := range []string{"connect", "go", "measure", "stop", "place"} {
		check(method, anything{}, "no load is prepared")
	}
	check("configure", anything{}, "lets nobody change settings")
	check("prepare", anything{}, "role")
	check("prepare", with(func(s *load.Spec) { s.Lifetime = 2 * load.MaxDuration }), "lifetime")
	check("prepare", with(func(s *load.Spec) { s.Flows[1].MessageBytes = -1 }), "flows[1].message_bytes")
	check("prepare", with(func(s *load.Spec) { s.Engine = "warp" }), "warp")
	check("prepare", with(func(s *load.Spec) { s.Flows[1].Transport = load.Unix }), "flows[1].transport")

	if _, err := r.Prepare(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	check("prepare", receiver, "prepared already")
	for _, method := range []string{"go", "measure", "stop", "place"} {
		check(method, anything{}, "the load is prepared, the call needs it")
	}
	if err := r.Release(t.Context()); err != nil {
		t.Error(err)
	}
	s := serve(t, defaults())
	advance(t, r.Client, s.Client, "connect")
	check("place", Place{IRQ: map[string]int{"eth0": 1}}, "lets nobody change settings")
	check("place", Place{Confine: []int{0}}, "lets nobody change settings")
	check("connect", anything{}, "the load is connected")
	for _, c := range []*Client{r.Client, s.Client} {
		if err := c.Go(t.Context(), Start{}); err != nil {
			t.Fatal(err)
		}
	}
	check("go", anything{}, "the load is running")
	for field, w := range map[string]load.Window{
		"length_nanoseconds":   {Length: -1, Interval: time.Second},
		"interval_nanoseconds": {Length: time.Hour, Interval: 1},
		"open_nanoseconds":     {Open: 1 << 62, Length: time.Second, Interval: time.Second},
	} {
		check("measure", Measure{Window: w}, field)
	}
	if err := s.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.Hello(t.Context(), false); err != nil {
		t.Errorf("the session is harmed: %v", err)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d workers are left", n)
	}
}

// TestLimits wants an agent to hold to what its owner grants.
func TestLimits(t *testing.T) {
	o := defaults()
	o.Limits = Limits{Flows: 2, Lifetime: time.Minute, Memory: 20_000}
	r := serve(t, o)
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	many, _ := specs(3)
	_, err := r.Prepare(t.Context(), many)
	refused(err, "flows: 3, this agent allows 2")
	long, _ := specs(1)
	long.Lifetime += time.Second
	_, err = r.Prepare(t.Context(), long)
	refused(err, "lifetime: 1m1s, this agent allows 1m0s")
	large, _ := specs(1)
	large.Flows[0].MessageBytes = 20_001
	_, err = r.Prepare(t.Context(), large)
	refused(err, "20001 bytes, this agent allows 20000")
	s := serve(t, defaults())
	advance(t, r.Client, s.Client, "go")
	_, err = r.Measure(t.Context(), Measure{Window: load.Window{Length: time.Minute, Interval: time.Millisecond}}, nil)
	refused(err, "choose a longer interval")
}
