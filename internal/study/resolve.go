package study

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/rig"
)

// Overrides are what the command line changes in any plan. Zero values change
// nothing.
type Overrides struct {
	// Levels are levels by factor. They replace the levels of an experiment that
	// varies the factor; elsewhere one level replaces the plan's default, and several
	// make it a factor.
	Levels     map[string][]string
	Replicates int
	Window     time.Duration
	Profile    time.Duration // of each trial, see experiment.Plan
}

func (o Overrides) apply(f *file) {
	if o.Replicates != 0 {
		f.Replicates = o.Replicates
	}
	if o.Profile != 0 {
		f.Profile = level(o.Profile.String())
	}
	if o.Window != 0 {
		f.Window = o.Window.String()
		if interval, err := time.ParseDuration(f.Interval); err == nil && interval > o.Window {
			f.Interval = o.Window.String()
		}
	}
}

// resolver turns automatic levels into numbers for one machine.
type resolver struct {
	machine   Machine
	overrides Overrides
	notes     []string
}

func (r *resolver) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// experiment returns nil where nothing of it can run on this machine.
func (r *resolver) experiment(fe fileExperiment) (*experiment.Experiment, error) {
	e := &experiment.Experiment{Name: fe.Name, Title: fe.Title, Effects: fe.Effects, Half: fe.Half}
	for _, item := range fe.Factors {
		name, ok := item.Key.(string)
		if !ok {
			return nil, fmt.Errorf("factors: %v is no name", item.Key)
		}
		written, ok := item.Value.([]any)
		if !ok {
			written = []any{item.Value}
		}
		var out []string
		for _, v := range written {
			s, err := scalar(v)
			if err != nil {
				return nil, fmt.Errorf("factors.%s: %w", name, err)
			}
			for _, l := range r.expand(name, s) {
				if l != s && slices.Contains(out, l) { // [1, per-cpu] on one CPU
					continue
				}
				out = append(out, l)
			}
		}
		if over := r.overrides.Levels[name]; len(over) > 0 {
			out = r.every(name, over)
		} else {
			out = r.fit(fe.Name, name, out)
		}
		e.Factors = append(e.Factors, experiment.FactorLevels{Name: name, Levels: out})
	}
	for _, name := range slices.Sorted(maps.Keys(r.overrides.Levels)) {
		varied := slices.ContainsFunc(e.Factors, func(f experiment.FactorLevels) bool { return f.Name == name })
		if levels := r.every(name, r.overrides.Levels[name]); !varied && len(levels) > 1 {
			e.Factors = append(e.Factors, experiment.FactorLevels{Name: name, Levels: levels})
		}
	}
	for _, c := range fe.Include {
		e.Include = append(e.Include, r.cell(c))
	}
	if fe.Baseline != nil {
		e.Baseline = r.cell(fe.Baseline)
	}
	if slices.ContainsFunc(e.Factors, func(f experiment.FactorLevels) bool { return len(f.Levels) == 0 }) {
		r.note("experiment %s left out: a factor has no level that fits this machine", fe.Name)
		return nil, nil
	}
	return e, nil
}

func (r *resolver) cell(in map[string]level) experiment.Levels {
	c := levels(in)
	for name, l := range c {
		if x := r.expand(name, l); len(x) == 1 {
			c[name] = x[0]
		}
	}
	return c
}

// defaults applies overrides of factors to the plan's defaults and expands
// automatic levels.
func (r *resolver) defaults(d experiment.Levels) {
	for name, over := range r.overrides.Levels {
		if len(over) == 1 {
			d[name] = over[0]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d)) {
		if x := r.expand(name, d[name]); len(x) == 1 {
			d[name] = x[0]
		}
	}
}

// expand turns "auto" (cpus: powers of two up to all; nics: the same, to twice the CPUs and at least 4),
// "per-cpu" (as many as CPUs) and "all" (of CPUs) into numbers.
func (r *resolver) expand(factor, level string) []string {
	cpus := r.machine.CPUs
	switch {
	case level == "per-cpu" && factor == "nics":
		return []string{strconv.Itoa(min(cpus, r.mostNICs()))}
	case level == "per-cpu" && factor == "cpus":
		return []string{strconv.Itoa(cpus)}
	case level == "auto" && factor == "cpus":
		return doublings(cpus)
	case level == allCPUs && (factor == experiment.FactorIRQCPU || factor == experiment.FactorProcessCPU):
		return r.pairCPUs()
	case level == "auto" && factor == "nics":
		return doublings(min(max(4, 2*cpus), r.mostNICs()))
	}
	return []string{level}
}

func (r *resolver) mostNICs() int {
	if r.machine.NICs > 0 {
		return r.machine.NICs
	}
	return rig.MaxNICs
}

func doublings(to int) []string {
	var out []string
	for n := 1; n < to; n *= 2 {
		out = append(out, strconv.Itoa(n))
	}
	return append(out, strconv.Itoa(to))
}

// fit drops numbers of CPUs and NICs that the machine does not have. Those that
// the user gave on the command line are not dropped: they fail with a reason.
func (r *resolver) fit(exp, factor string, in []string) []string {
	if factor == "affinity" && r.machine.CPUs < 2 {
		return slices.DeleteFunc(slices.Clone(in), func(l string) bool {
			if l == string(experiment.AffinityOpposite) {
				r.note("experiment %s: affinity=opposite left out, it needs two CPUs", exp)
				return true
			}
			return false
		})
	}
	most, what := r.machine.CPUs, "the machine has %d CPUs to use"
	switch factor {
	case "cpus":
	case "nics":
		most, what = r.mostNICs(), "%d NICs were given"
	default:
		return in
	}
	return slices.DeleteFunc(slices.Clone(in), func(l string) bool {
		n, err := strconv.Atoi(l)
		if err != nil || n <= most {
			return false
		}
		r.note("experiment %s: %s=%s left out, "+what, exp, factor, l, most)
		return true
	})
}
