package experiment

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
)

// Plan is a set of experiments with what they have in common. It is validated
// and its levels are canonical: what runs is what it says.
type Plan struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Rig         string `json:"rig,omitempty"` // built-in rig that it is for where the user names none; empty: any
	Defaults    Levels `json:"defaults"`      // of factors that an experiment does not vary
	Timing      Timing `json:"timing"`
	Replicates  int    `json:"replicates"`
	MaxAttempts int    `json:"max_attempts"` // of one trial that strangers disturbed
	// StrangerLimit is the share (0..1) of all online CPUs' time that processes
	// outside the trial, and steal, may use before the trial is repeated.
	StrangerLimit float64 `json:"stranger_limit"`
	// Profile is for how long each trial is profiled after its window, all passes together; 0:
	// not at all.
	Profile time.Duration `json:"profile_nanoseconds,omitempty"`
	// InsideStack asks for a look into a running stack of package ustack after the trials, see
	// package stacklab.
	InsideStack bool         `json:"inside_stack,omitempty"`
	Experiments []Experiment `json:"experiments"`
}

// Timing is the course of one trial.
type Timing struct {
	RampUp   time.Duration `json:"ramp_up_nanoseconds"` // loaded, not measured
	Window   time.Duration `json:"window_nanoseconds"`
	Interval time.Duration `json:"interval_nanoseconds"` // of the per-flow counts
}

// Experiment is one design of a plan.
type Experiment struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Factors  []FactorLevels `json:"factors"`
	Include  []Levels       `json:"include,omitempty"` // cells beside the full factorial
	Baseline Levels         `json:"baseline,omitempty"`
	Exclude  []Levels       `json:"exclude,omitempty"` // cells that the hosts at hand can't do, see Bench.Fit
	// Effects asks for what each factor is worth over all levels of the others, and which
	// are worth more or less together: main effects and interactions. Each factor then has
	// two levels, of which the first is the one without, or one.
	Effects bool `json:"effects,omitempty"`
	// Half runs half of the combinations: those in which an even number of factors has its
	// second level, see [HalfFraction]. It needs Effects.
	Half bool `json:"half,omitempty"`
}

// Cells are the factorial and the included cells, each once, less the
// excluded.
func (e *Experiment) Cells() []Levels {
	seen := map[string]bool{}
	for _, c := range e.Exclude {
		seen[c.Key()] = true
	}
	var cells []Levels
	factorial := FullFactorial(e.Factors)
	if e.Half {
		factorial = HalfFraction(e.Factors)
	}
	for _, c := range slices.Concat(factorial, e.Include) {
		if !seen[c.Key()] {
			seen[c.Key()] = true
			cells = append(cells, c)
		}
	}
	return cells
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// Normalize validates the plan and puts every level into its canonical form.
// The error names the field.
func (p *Plan) Normalize() error {
	switch {
	case !nameForm.MatchString(p.Name):
		return fmt.Errorf("name: %q, want lower-case letters, digits, '-'", p.Name)
	case p.Replicates < 1 || p.Replicates > 1000:
		return fmt.Errorf("replicates: %d, want 1 to 1000", p.Replicates)
	case p.MaxAttempts < 1 || p.MaxAttempts > 20:
		return fmt.Errorf("max_attempts: %d, want 1 to 20", p.MaxAttempts)
	case p.StrangerLimit <= 0 || p.StrangerLimit > 1:
		return fmt.Errorf("stranger_limit: %v, want above 0 and at most 1 (a share of the CPUs)", p.StrangerLimit)
	case p.Timing.RampUp < 0 || p.Timing.RampUp > time.Minute:
		return fmt.Errorf("ramp_up: %v, want 0s to 1m", p.Timing.RampUp)
	case p.Timing.Window < 50*time.Millisecond || p.Timing.Window > load.MaxDuration-2*time.Minute:
		return fmt.Errorf("window: %v, want 50ms to %v", p.Timing.Window, load.MaxDuration-2*time.Minute)
	case p.Timing.Interval < time.Millisecond || p.Timing.Interval > p.Timing.Window:
		return fmt.Errorf("interval: %v, want 1ms to the window's %v", p.Timing.Interval, p.Timing.Window)
	case p.Profile != 0 && (p.Profile < time.Second || p.Profile > 5*time.Minute):
		return fmt.Errorf("profile: %v, want 1s to 5m, or true", p.Profile)
	case p.Timing.Window+p.Profile > load.MaxDuration-2*time.Minute:
		return fmt.Errorf("window and profile: %v, want at most %v", p.Timing.Window+p.Profile, load.MaxDuration-2*time.Minute)
	case len(p.Experiments) == 0:
		return errors.New("experiments: none, want at least one")
	}
	// A record is read without this program: it states every factor.
	all := maps.Clone(defaultLevels)
	maps.Copy(all, p.Defaults)
	p.Defaults = all
	if err := canonical("defaults", p.Defaults); err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range p.Experiments {
		e := &p.Experiments[i]
		if names[e.Name] {
			return fmt.Errorf("experiments[%d].name: %q stands twice", i, e.Name)
		}
		names[e.Name] = true
		if err := e.normalize(); err != nil {
			return fmt.Errorf("experiments[%d].%w", i, err)
		}
		for _, c := range e.Cells() {
			if err := p.feasible(c); err != nil {
				return fmt.Errorf("experiments[%d], cell %s: %w", i, c.Key(), err)
			}
		}
	}
	return nil
}

// maxCells bounds an experiment.
const maxCells = 10_000

// size is the number of cells of the full factorial, without making them.
func (e *Experiment) size() int {
	n := 1
	for _, f := range e.Factors {
		n = min(n*len(f.Levels), maxCells+1)
	}
	return n
}

func (e *Experiment) normalize() error {
	if !nameForm.MatchString(e.Name) {
		return fmt.Errorf("name: %q, want lower-case letters, digits, '-'", e.Name)
	}
	if len(e.Factors) == 0 {
		return errors.New("factors: none, want at least one")
	}
	for i := range e.Factors {
		f := &e.Factors[i]
		if len(f.Levels) == 0 {
			return fmt.Errorf("factors.%s: no level", f.Name)
		}
		for j, level := range f.Levels {
			one := Levels{f.Name: level}
			if err := canonical("factors", one); err != nil {
				return err
			}
			if slices.Contains(f.Levels[:j], one[f.Name]) {
				return fmt.Errorf("factors.%s: level %s stands twice", f.Name, one[f.Name])
			}
			f.Levels[j] = one[f.Name]
		}
	}
	if e.size() > maxCells {
		return fmt.Errorf("factors: over %d cells", maxCells)
	}
	if e.Half && !e.Effects {
		return errors.New("half: half of the cells tells effects alone: add effects: true")
	}
	for _, f := range e.Factors {
		if e.Effects && len(f.Levels) > 2 {
			return fmt.Errorf("factors.%s: %d levels, effects are of one or two", f.Name, len(f.Levels))
		}
	}
	var include []Levels
	for i, c := range e.Include {
		if err := e.check(fmt.Sprintf("include[%d]", i), c); err != nil {
			return err
		}
		include = append(include, e.expand(c)...)
	}
	e.Include = include
	return e.check("baseline", e.Baseline)
}

// check puts the levels of a partial cell into canonical form and refuses names
// that are no factor of the experiment.
func (e *Experiment) check(field string, c Levels) error {
	if err := canonical(field, c); err != nil {
		return err
	}
	for name := range c {
		if !slices.ContainsFunc(e.Factors, func(f FactorLevels) bool { return f.Name == name }) {
			return fmt.Errorf("%s.%s: is no factor of the experiment", field, name)
		}
	}
	return nil
}

// expand makes a partial cell whole, over all levels of the factors that it does
// not name.
func (e *Experiment) expand(c Levels) []Levels {
	var free []FactorLevels
	for _, f := range e.Factors {
		if _, named := c[f.Name]; !named {
			free = append(free, f)
		}
	}
	cells := FullFactorial(free)
	for _, cell := range cells {
		maps.Copy(cell, c)
	}
	return cells
}

func canonical(field string, l Levels) error {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		f, err := FindFactor(name)
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		var scratch Config
		level, err := f.Set(&scratch, l[name])
		if err != nil {
			return fmt.Errorf("%s.%s: %w", field, name, err)
		}
		l[name] = level
	}
	return nil
}

// feasible refuses combinations that could not mean anything.
func (p *Plan) feasible(cell Levels) error {
	c, err := cell.Config(p.Defaults)
	if err != nil {
		return err
	}
	if c.Affinity == AffinityOpposite && c.CPUs == 1 {
		return errors.New("affinity opposite needs at least 2 CPUs")
	}
	if flows := c.NICs * c.FlowsPerNIC; flows > load.MaxThreads {
		return fmt.Errorf("%d flows, want at most %d", flows, load.MaxThreads)
	}
	if _, ok := engines.All()[c.Engine]; !ok {
		return fmt.Errorf("engine %q: unknown", c.Engine)
	}
	if c.Engine != load.Ustack && (c.StackDevice != "" || len(c.Techniques) > 0) {
		return fmt.Errorf("engine %q: %s factors are for the engine %q alone", c.Engine, StackPrefix, load.Ustack)
	}
	if err := c.checkPair(); err != nil {
		return err
	}
	if c.Engine == load.Ustack && c.Unpinned == Scatter && !c.PinsProcess() {
		return fmt.Errorf("unpinned %s moves the server's threads, and flows of the engine %q have none of their own: choose %s, or an affinity that pins the process", Scatter, load.Ustack, AsFound)
	}
	return nil
}
