package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// lateLimit is how late a sample may be, as a share of the window, before it is
// warned of.
const lateLimit = 0.02

func (s *session) measure(ctx context.Context, m Measure) (Measured, error) {
	if err := s.in(running); err != nil {
		return Measured{}, err
	}
	if err := s.options.Limits.checkWindow(m.Window, s.spec.FlowCount()); err != nil {
		return Measured{}, err
	}
	if m.CPU {
		if err := s.openProbe(ctx); err != nil {
			return Measured{}, err
		}
	}
	before, err := s.counters()
	if err != nil {
		return Measured{}, err
	}
	rounds := s.scatter.made()
	var marks [2]cpu.Mark
	var out Measured
	samples, err := s.pool.Table.Sample(ctx, m.Window, load.Observer{
		Edge: func(i int) error {
			if i == 0 {
				out.Started = time.Now()
			}
			if !m.CPU {
				return nil
			}
			var err error
			marks[i], err = s.probe.Mark()
			return err
		},
		Tick: s.teller(m, &marks[0]),
	})
	switch {
	case errors.Is(err, load.ErrFlowEnded):
		out.Ended = err.Error()
	case err != nil:
		return Measured{}, err
	}
	after, err := s.counters()
	if err != nil {
		return Measured{}, err
	}
	out.Counters = grown(s.options.Name, host.Difference(before, after))
	out.Seconds = samples.Seconds()
	out.Warnings = append(out.Warnings, s.scatter.lag(s.scatter.made()-rounds, out.Seconds)...)
	last := len(samples.Due) - 1
	out.Opened, out.Closed = samples.Before[0], samples.After[last]
	out.Total = samples.Totals[last].Since(samples.Totals[0])
	out.Latency, out.Lateness = samples.Latency, samples.Lateness()
	if !m.Quiet {
		out.Flows = counts(&s.spec, samples)
	}
	if late := out.Lateness; late.Seconds() > lateLimit*out.Seconds {
		out.Warnings = append(out.Warnings, trial.Warning{Code: "late-sample", Text: fmt.Sprintf("a sample was taken %v late: the sampler did not get a CPU; rates use the real times", late)})
	}
	if m.CPU {
		var warnings []trial.Warning
		out.CPU, warnings, err = cpu.Usage(marks[0], marks[1], classify(m.Groups))
		out.Warnings = append(out.Warnings, warnings...)
		if err != nil {
			return out, err
		}
	}
	return out, s.confirm(&out)
}

// counts are what each flow carried.
func counts(spec *load.Spec, samples *load.Samples) []load.Count {
	var out []load.Count
	for i := range spec.Flows {
		for id := spec.Flows[i].ID; id < spec.Flows[i].ID+spec.Flows[i].Flows(); id++ {
			n := samples.Count(len(out))
			n.ID = id
			out = append(out, n)
		}
	}
	return out
}

// teller tells the controller of each interval, where it wants to know. previous is the
// mark at the window's opening.
func (s *session) teller(m Measure, opened *cpu.Mark) func(load.Interval) error {
	if !m.Tell {
		return nil
	}
	var previous cpu.Mark
	return func(i load.Interval) error {
		out := Interval{Interval: i}
		if m.CPU {
			if i.Index == 0 {
				previous = *opened
			}
			mark, err := s.probe.Mark()
			if err != nil {
				return err
			}
			use, _, err := cpu.Usage(previous, mark, nil)
			if err != nil {
				return err
			}
			out.Utilization, previous = use.Utilization, mark
		}
		return s.progress(out)
	}
}

// openProbe opens the best source of CPU time that this host has, once.
func (s *session) openProbe(ctx context.Context) error {
	if s.probe != nil {
		return nil
	}
	p, missing, err := cpu.Open(ctx, cpu.Options{})
	if err != nil {
		return err
	}
	s.probe = p
	for _, u := range missing {
		s.lost = append(s.lost, Limit{What: "cpu-time-" + u.Source, Why: u.Reason, Mend: u.Mend})
	}
	return nil
}

// classify turns lists of processes into the probe's function.
func classify(groups map[string][]int) cpu.Groups {
	of := map[int]string{}
	for name, pids := range groups {
		for _, pid := range pids {
			of[pid] = name
		}
	}
	return func(pid int, _ string, _ bool) string { return of[pid] }
}

// grown leaves out the counters that stood still, and names the host.
func grown(name string, d map[string]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for counter, n := range d {
		if n > 0 {
			out[name+"."+counter] = n
		}
	}
	return out
}
