package experiment

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Levels is a cell of a design: one level for each factor of the experiment.
type Levels map[string]string

// Key names the cell in records: "affinity=both,nics=2".
func (l Levels) Key() string { return trial.Cell(l) }

// Config is the configuration of the cell: the house's defaults, the plan's, then
// the cell's levels.
func (l Levels) Config(defaults Levels) (Config, error) {
	var c Config
	for _, from := range []Levels{defaultLevels, defaults, l} {
		for name, level := range from {
			f, err := FindFactor(name)
			if err != nil {
				return c, err
			}
			if _, err := f.Set(&c, level); err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return c, nil
}

// FullFactorial returns every combination of the levels, the last factor
// varying fastest.
func FullFactorial(factors []FactorLevels) []Levels {
	cells := []Levels{{}}
	for _, f := range factors {
		var next []Levels
		for _, c := range cells {
			for _, level := range f.Levels {
				d := maps.Clone(c)
				d[f.Name] = level
				next = append(next, d)
			}
		}
		cells = next
	}
	return cells
}

// leastForHalf is how many factors of two levels a half fraction wants: with fewer,
// interactions of two factors could not be told from one another (resolution V).
const leastForHalf = 5

// HalfFraction returns those combinations in which an even number of the factors that
// have two levels has its second: a fraction of resolution k, where k factors have two.
// An effect is then mixed with the interaction of all factors that it is not of, which
// for one factor or two is one of k-1 or k-2. With fewer than five such factors it is the
// full factorial.
func HalfFraction(factors []FactorLevels) []Levels {
	two := 0
	for _, f := range factors {
		if len(f.Levels) == 2 {
			two++
		}
	}
	all := FullFactorial(factors)
	if two < leastForHalf {
		return all
	}
	return slices.DeleteFunc(all, func(l Levels) bool {
		second := 0
		for _, f := range factors {
			if len(f.Levels) == 2 && l[f.Name] == f.Levels[1] {
				second++
			}
		}
		return second%2 != 0
	})
}

// FactorLevels is a factor with the levels that an experiment gives it.
type FactorLevels struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
}

// Planned is one place in the order of a study.
type Planned struct {
	Experiment int // index into Plan.Experiments
	Cell       Levels
	Replicate  int // from 1
	Order      int // from 1
}

// Schedule orders all trials of a plan: experiments one after the other, each in
// complete blocks (every cell once a replicate), the cells of a block in an order
// drawn from the seed. So drift of the machine falls on all cells alike.
func Schedule(p *Plan, seed uint64) []Planned {
	var out []Planned
	for i := range p.Experiments {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		cells := p.Experiments[i].Cells()
		for rep := 1; rep <= p.Replicates; rep++ {
			for _, c := range rng.Perm(len(cells)) {
				out = append(out, Planned{Experiment: i, Cell: cells[c], Replicate: rep, Order: len(out) + 1})
			}
		}
	}
	return out
}
