package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
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
	if err := s.options.Limits.checkWindow(m.Window, len(s.spec.Flows)); err != nil {
		return Measured{}, err
	}
	if m.CPU {
		if err := s.openProbe(ctx); err != nil {
			return Measured{}, err
		}
	}
	before, err := s.root.Counters()
	if err != nil {
		return Measured{}, err
	}
	rounds := s.scatter.made()
	var marks [2]cpu.Mark
	var out Measured
	samples, err := s.pool.Table.Sample(ctx, m.Window, func(i int) error {
		if i == 0 {
			out.Started = time.Now()
		}
		if !m.CPU {
			return nil
		}
		var err error
		marks[i], err = s.probe.Mark()
		return err
	})
	if err != nil {
		return Measured{}, err
	}
	after, err := s.root.Counters()
	if err != nil {
		return Measured{}, err
	}
	out.Counters = grown(s.options.Name, host.Difference(before, after))
	out.Seconds = samples.Seconds()
	out.Warnings = append(out.Warnings, s.scatter.lag(s.scatter.made()-rounds, out.Seconds)...)
	for f := range s.spec.Flows {
		n := samples.Count(f)
		n.ID = s.spec.Flows[f].ID
		out.Flows = append(out.Flows, n)
	}
	if late := samples.Lateness(); late.Seconds() > lateLimit*out.Seconds {
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
