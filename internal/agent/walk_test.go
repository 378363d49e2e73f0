package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// phases of a load, by the call that leads to each.
var phases = []string{"hello", "configure", "prepare", "connect", "go", "measure", "stop", "release"}

// walk brings a receiver and a sender, step by step, to a measured load.
type walk struct {
	r, s *Client
	at   netip.Addr     // the receiver's
	nic  string         // the receiver's to configure; "": none
	long time.Duration  // the window
	each func(Interval) // of the window; may be nil
}

// to goes through the phases, up to and with last.
func (w walk) to(ctx context.Context, last string) error {
	receiver, sender := specs(2)
	for i := range receiver.Flows {
		receiver.Flows[i].Local = netip.AddrPortFrom(w.at, 0)
	}
	var to map[int]string
	steps := map[string]func() error{
		"hello": func() error {
			_, err := w.r.Introduce(ctx, Introduction{Measures: true, Run: "walk"})
			_, serr := w.s.Introduce(ctx, Introduction{Run: "walk"})
			return errors.Join(err, serr)
		},
		"configure": func() error {
			if w.nic == "" {
				return nil
			}
			_, err := w.r.Configure(ctx, Configure{NICs: []NICSettings{{Name: w.nic, MTU: 1400}}})
			return err
		},
		"prepare": func() error {
			ready, err := w.r.Prepare(ctx, receiver)
			to = ready.Addresses
			_, serr := w.s.Prepare(ctx, sender)
			return errors.Join(err, serr)
		},
		"connect": func() error {
			accepted := make(chan error, 1)
			go func() { accepted <- w.r.Connect(ctx, Connect{}) }()
			err := w.s.Connect(ctx, Connect{To: to})
			return errors.Join(err, <-accepted)
		},
		"go": func() error { return errors.Join(w.r.Go(ctx, Start{}), w.s.Go(ctx, Start{})) },
		"measure": func() error {
			_, err := w.r.Measure(ctx, Measure{Window: load.Window{Length: w.long, Interval: 100 * time.Millisecond}, CPU: true}, w.each)
			return err
		},
		"stop": func() error {
			_, serr := w.s.Stop(ctx, time.Second)
			_, err := w.r.Stop(ctx, time.Second)
			return errors.Join(err, serr)
		},
		"release": func() error { return errors.Join(w.s.Release(ctx), w.r.Release(ctx)) },
	}
	for _, p := range phases {
		if err := steps[p](); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if p == last {
			break
		}
	}
	return nil
}

// advance walks over loopback.
func advance(t *testing.T, r, s *Client, last string) {
	t.Helper()
	w := walk{r: r, s: s, at: netip.MustParseAddr("127.0.0.1"), long: 300 * time.Millisecond}
	if err := w.to(t.Context(), last); err != nil {
		t.Fatal(err)
	}
}
