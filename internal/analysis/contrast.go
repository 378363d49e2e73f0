package analysis

import (
	"slices"

	"github.com/stackmeter/stackmeter/internal/stats"
)

// Contrast compares cells with a baseline, all other factors equal.
type Contrast struct {
	// Rest holds the levels of the factors that the baseline does not name.
	Rest     map[string]string `json:"rest,omitempty"`
	Baseline *Cell             `json:"-"`
	// BaselineKey is the baseline's Cell.Key, "" if it has no trial.
	BaselineKey string        `json:"baseline"`
	Against     []CellAgainst `json:"against"`
}

// CellAgainst is one cell's gains over the baseline, by metric.
type CellAgainst struct {
	Cell  *Cell            `json:"-"`
	Key   string           `json:"cell"`
	Gains map[Metric]*Gain `json:"gains"`
}

// contrasts groups the cells by the factors that the baseline leaves free.
func (a *analyzer) contrasts(e *Experiment, baseline map[string]string) []*Contrast {
	var out []*Contrast
	for _, g := range group(e, keys(baseline)...) {
		c := &Contrast{Rest: g.rest}
		if i := slices.IndexFunc(g.cells, func(c *Cell) bool { return has(c, baseline) }); i >= 0 {
			c.Baseline, c.BaselineKey = g.cells[i], g.cells[i].Key
		}
		for _, cell := range g.cells {
			if cell != c.Baseline {
				c.Against = append(c.Against, CellAgainst{cell, cell.Key, a.gains(c.Baseline, cell)})
			}
		}
		out = append(out, c)
	}
	return out
}

// gains compares two cells in every metric that both have. base may be nil.
func (a *analyzer) gains(base, cell *Cell) map[Metric]*Gain {
	out := map[Metric]*Gain{}
	if base == nil || cell == nil {
		return out
	}
	for _, m := range Metrics {
		x, y := base.Metrics[m], cell.Metrics[m]
		if x == nil || y == nil {
			continue
		}
		c, err := stats.Gain(x.Values, y.Values, a.Confidence)
		if err != nil {
			continue
		}
		g := &Gain{Unpaired: c, Verdict: judge(c.Estimate, a.Confidence)}
		var ratios []float64
		for i, r := range y.Replicates {
			if j := slices.Index(x.Replicates, r); j >= 0 {
				ratios = append(ratios, y.Values[i]/x.Values[j])
			}
		}
		if p, err := stats.PairedGain(ratios, a.Confidence); err == nil {
			g.Paired = &p
		}
		out[m] = g
	}
	return out
}

type cellGroup struct {
	rest  map[string]string
	cells []*Cell
}

// group parts the cells of an experiment by all factors but the named ones,
// keeping their order.
func group(e *Experiment, but ...string) []cellGroup {
	var out []cellGroup
	for _, c := range e.Cells {
		rest := map[string]string{}
		for f, l := range c.Levels {
			if !slices.Contains(but, f) {
				rest[f] = l
			}
		}
		i := slices.IndexFunc(out, func(g cellGroup) bool { return equal(g.rest, rest) })
		if i < 0 {
			i = len(out)
			out = append(out, cellGroup{rest: rest})
		}
		out[i].cells = append(out[i].cells, c)
	}
	return out
}

func has(c *Cell, levels map[string]string) bool {
	for f, l := range levels {
		if c.Levels[f] != l {
			return false
		}
	}
	return true
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}
