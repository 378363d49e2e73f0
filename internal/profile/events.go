package profile

import (
	"errors"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/profile/pmu"
	"github.com/stackmeter/stackmeter/internal/profile/sample"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

// eventSampler samples by one hardware event. The slices of the pass go round the
// events: a counter of its own for each would be shared out by the kernel.
type eventSampler struct {
	event   pmu.Event
	sampler *sample.Sampler
	samples gathered
	seconds float64
}

// openEvents opens what the machine can count; the error is a
// [host.NotSupportedError] where that is nothing.
func (s *session) openEvents() error {
	events := s.options.events
	if events == nil {
		var err error
		if events, err = pmu.Open(host.Live()); err != nil {
			return err
		}
	}
	names := s.samples.names
	if names == nil {
		var err error
		if names, err = symbol.ReadKernel(); err != nil {
			return &host.NotSupportedError{What: "kernel symbols", Reason: err.Error(), Mend: "run as root"}
		}
	}
	var last *host.NotSupportedError
	for _, e := range events {
		sampler, err := sample.Open(s.cpus, sample.Event{Type: e.Type, Config: e.Config, Period: e.Period})
		if errors.As(err, &last) {
			s.limits = append(s.limits, Limit{What: "hardware event " + e.Name, Why: last.Reason, Mend: last.Mend})
			continue
		}
		if err != nil {
			return err
		}
		x := &eventSampler{event: e, sampler: sampler}
		x.samples.init()
		x.samples.names, x.samples.load = names, s.samples.load
		s.events = append(s.events, x)
	}
	if len(s.events) == 0 {
		return last
	}
	return nil
}

// stopEvent ends an event's slice; the next slice is the next event's.
func (s *session) stopEvent() error {
	e := s.events[s.turn]
	s.turn = (s.turn + 1) % len(s.events)
	r, err := e.sampler.Stop()
	e.samples.add(&r)
	return err
}

func (s *session) finishEvents() []EventSampling {
	var out []EventSampling
	for _, e := range s.events {
		x := EventSampling{Event: e.event, Seconds: e.seconds, Sampling: *e.samples.finish(0)}
		x.Period = e.event.Period
		out = append(out, x)
	}
	return out
}
