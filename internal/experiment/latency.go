package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Latency measures requests of one byte and their answers in a configuration, one at a time on each
// flow, as the clients see them: the settings and places are those of [Bench.Trial],
// nothing else loads the stack.
func (b *Bench) Latency(ctx context.Context, c Config, t Timing) (h *hist.Hist, err error) {
	if c.NICs > len(b.Links) {
		return nil, fmt.Errorf("nics: %d, the rig has %d", c.NICs, len(b.Links))
	}
	cpus, err := b.cpus(c)
	if err != nil {
		return nil, err
	}
	var scratch trial.Trial
	set, err := b.configure(ctx, c, cpus, &scratch)
	if err != nil {
		return nil, err
	}
	server, client := b.specs(c, t, cpus)
	for _, s := range []*load.Spec{&server, &client} {
		s.Workload = "rr"
		for i := range s.Flows {
			s.Flows[i].MessageBytes, s.Flows[i].LowWaterBytes, s.Flows[i].NoDelay = 1, 0, true
		}
	}
	defer func() {
		for _, a := range []*agent.Client{b.Client, b.Server} {
			if ctx.Err() == nil {
				err = errors.Join(err, a.Release(ctx))
			}
		}
	}()
	ready, err := b.Server.Prepare(ctx, server)
	if err != nil {
		return nil, err
	}
	if _, err = b.Client.Prepare(ctx, client); err != nil {
		return nil, err
	}
	if err = b.connect(ctx, ready.Addresses); err != nil {
		return nil, err
	}
	if _, err = b.place(ctx, c, cpus, set.Confine); err != nil {
		return nil, err
	}
	if err = errors.Join(b.Server.Go(ctx, agent.Start{}), b.Client.Go(ctx, agent.Start{})); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(t.RampUp):
	}
	m, err := b.Client.Measure(ctx, agent.Measure{Window: load.Window{Length: t.Window, Interval: t.Window}, Quiet: true}, nil)
	switch {
	case err != nil:
		return nil, err
	case m.Ended != "":
		return nil, errors.New(m.Ended)
	case m.Latency == nil || m.Latency.Count() == 0:
		return nil, errors.New("no request was answered in the window")
	}
	return m.Latency, nil
}
