package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// Change is what one stage or function costs on two sides, in nanoseconds of CPU time
// per kilobyte carried.
type Change struct {
	Name   string      `json:"name"`
	Stage  stage.Stage `json:"stage,omitempty"`                 // of a function
	Before float64     `json:"before_nanoseconds_per_kilobyte"` // median over replicates
	After  float64     `json:"after_nanoseconds_per_kilobyte"`
	// Shift is by how much the second side lies above the first, with its interval over
	// replicates; nil where either side has none.
	Shift *stats.Comparison `json:"shift,omitempty"`
}

// Diff is two configurations side by side, per byte carried: the counterpart of the
// paper's Table 2.
type Diff struct {
	BeforeProfiles int `json:"before_profiles"`
	AfterProfiles  int `json:"after_profiles"`
	// Total is CPU time not halted, without what processes beside the load used. Functions
	// and the tree are without it too.
	Total     Change   `json:"total"`
	Idle      Change   `json:"idle"`
	Stages    []Change `json:"stages"`
	Functions []Change `json:"functions"` // largest change first
	Counts    []Change `json:"counts"`    // per MB, not nanoseconds: events of the tree
	// Events are hardware events by function, per kilobyte: the paper's Table 2 itself, where
	// there is a PMU.
	Events   []EventDiff `json:"events,omitempty"`
	CrossCPU Change      `json:"cross_cpu_share_of_bytes"`
	Notes    []string    `json:"notes,omitempty"`
}

// EventDiff is what changed of one hardware event.
type EventDiff struct {
	Event     string   `json:"event"`
	Title     string   `json:"title"`
	Functions []Change `json:"functions"` // largest change first
}

// usable leaves out profiles without samples or bytes.
func usable(side []*Profile) []*Profile {
	return slices.DeleteFunc(slices.Clone(side), func(p *Profile) bool { return p.Sampling == nil || p.Sampling.Bytes == 0 })
}

// Compare puts two sides of replicates side by side.
func Compare(before, after []*Profile) (*Diff, error) {
	sides := [2][]*Profile{usable(before), usable(after)}
	if len(sides[0]) == 0 || len(sides[1]) == 0 {
		return nil, fmt.Errorf("nothing to compare: %d and %d profiles have samples and bytes carried", len(sides[0]), len(sides[1]))
	}
	d := &Diff{BeforeProfiles: len(sides[0]), AfterProfiles: len(sides[1])}
	if left := len(before) + len(after) - d.BeforeProfiles - d.AfterProfiles; left > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d profiles without samples or bytes were left out", left))
	}
	whole := func(name string, of func(*Profile) float64) Change {
		var v [2][]float64
		for i, side := range sides {
			for _, p := range side {
				v[i] = append(v[i], of(p))
			}
		}
		return change(name, v)
	}
	d.Total = whole("all", func(p *Profile) float64 { return p.Sampling.PerKilobyte(p.Sampling.loadSeconds()) })
	d.Idle = whole("idle", func(p *Profile) float64 { return p.Sampling.PerKilobyte(p.Sampling.IdleSeconds()) })
	d.CrossCPU = whole("bytes across CPUs", crossShare)
	stages := gathering{}
	functions := gathering{}
	counts := gathering{}
	for i, side := range sides {
		for j, p := range side {
			for _, x := range p.Sampling.ByStage() {
				stages.put(i, j, len(side), x.Name, "", p.Sampling.PerKilobyte(x.Seconds))
			}
			for _, x := range p.Sampling.byFunction(ofLoad) {
				if x.Samples > 0 {
					functions.put(i, j, len(side), x.Name, x.Stage, p.Sampling.PerKilobyte(x.Seconds))
				}
			}
			for _, r := range p.CountTree() {
				counts.put(i, j, len(side), r.Pass+": "+r.Name, "", r.PerMB)
			}
		}
	}
	d.Events = eventDiffs(sides)
	d.Stages, d.Functions, d.Counts = stages.changes(sides), functions.changes(sides), counts.changes(sides)
	if w := d.Total.Shift; w != nil && w.Confidence < stats.DefaultConfidence {
		d.Notes = append(d.Notes, fmt.Sprintf("%d and %d replicates give intervals of %.0f %% only: 4 on each side give 95 %%", d.BeforeProfiles, d.AfterProfiles, 100*w.Confidence))
	}
	return d, nil
}

// eventDiffs compares the events that the first profile of the first side has.
func eventDiffs(sides [2][]*Profile) []EventDiff {
	var out []EventDiff
	for _, e := range sides[0][0].Events {
		g := gathering{}
		for i, side := range sides {
			for j, p := range side {
				for k := range p.Events {
					x := &p.Events[k]
					if x.Event.Name != e.Event.Name {
						continue
					}
					for _, f := range x.ByFunction() {
						if f.Samples > 0 {
							g.put(i, j, len(side), f.Name, f.Stage, x.EventsPerKilobyte(f.Seconds))
						}
					}
				}
			}
		}
		out = append(out, EventDiff{e.Event.Name, e.Event.Title, g.changes(sides)})
	}
	return out
}

func crossShare(p *Profile) float64 {
	var all, cross uint64
	for _, f := range p.Flows {
		all += f.Bytes
		cross += f.CrossBytes
	}
	if all == 0 {
		return 0
	}
	return float64(cross) / float64(all)
}

// gathering is values by name, side and replicate; what a replicate does not have is 0.
type gathering map[string]*replicates

type replicates struct {
	stage  stage.Stage
	values [2][]float64
}

func (g gathering) put(side, replicate, of int, name string, s stage.Stage, v float64) {
	x := g[name]
	if x == nil {
		x = &replicates{}
		g[name] = x
	}
	if s != "" {
		x.stage = s
	}
	if x.values[side] == nil {
		x.values[side] = make([]float64, of)
	}
	x.values[side][replicate] += v
}

// changes are all of them, largest first.
func (g gathering) changes(sides [2][]*Profile) []Change {
	var out []Change
	for name, x := range g {
		for i := range sides {
			if x.values[i] == nil {
				x.values[i] = make([]float64, len(sides[i]))
			}
		}
		c := change(name, x.values)
		c.Stage = x.stage
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(math.Abs(b.After-b.Before), math.Abs(a.After-a.Before)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func change(name string, v [2][]float64) Change {
	c := Change{Name: name, Before: middle(v[0]), After: middle(v[1])}
	if s, err := stats.Shift(v[0], v[1], stats.DefaultConfidence); err == nil {
		c.Shift = &s
	}
	return c
}

func middle(v []float64) float64 {
	m, err := stats.Median(v, stats.DefaultConfidence)
	if err != nil {
		return 0
	}
	return m.Value
}
