package analysis

import (
	"slices"

	"github.com/stackmeter/stackmeter/internal/stats"
)

// AffinityRow is a row of Table 1: the gains of the affinity cases over the
// baseline at one message size (and one level of every other factor).
type AffinityRow struct {
	Rest         map[string]string `json:"rest,omitempty"`
	MessageBytes int64             `json:"message_bytes,omitempty"`
	Baseline     *Cell             `json:"-"`
	BaselineKey  string            `json:"baseline"`
	Cases        []AffinityCase    `json:"cases"`
	// Interaction is, within each block, (BOTH - IRQ - PROCESS + none) / none: by
	// what share of the baseline both affinities together gain more than the sum of
	// the two. By metric; missing where no block has all four.
	Interaction map[Metric]*Interaction `json:"interaction"`
	// Paper is the paper's row of this message size, nil if it has none.
	Paper *PaperAffinity `json:"paper,omitempty"`
}

// AffinityCase is one column of the table.
type AffinityCase struct {
	Affinity string `json:"affinity"`
	Unpinned string `json:"unpinned,omitempty"`
	CellAgainst
}

// Interaction is the contrast with its verdict: More means that both together
// gain more than the sum.
type Interaction struct {
	stats.Comparison
	Verdict Verdict `json:"verdict"`
}

// Case finds a column, nil if it was not measured. unpinned "" is the
// baseline's.
func (r *AffinityRow) Case(affinity, unpinned string) *AffinityCase {
	if unpinned == "" && r.Baseline != nil {
		unpinned = r.Baseline.Levels["unpinned"]
	}
	for i := range r.Cases {
		if c := &r.Cases[i]; c.Affinity == affinity && c.Unpinned == unpinned {
			return c
		}
	}
	return nil
}

func (a *analyzer) affinity(e *Experiment, baseline map[string]string) []*AffinityRow {
	var rows []*AffinityRow
	for _, g := range group(e, "affinity", "unpinned") {
		r := &AffinityRow{Rest: g.rest, MessageBytes: g.cells[0].MessageBytes, Interaction: map[Metric]*Interaction{}}
		r.Paper = paperAffinity(r.MessageBytes)
		want := map[string]string{"affinity": "none"}
		for _, f := range []string{"affinity", "unpinned"} {
			if l, ok := baseline[f]; ok {
				want[f] = l
			}
		}
		if i := slices.IndexFunc(g.cells, func(c *Cell) bool { return has(c, want) }); i >= 0 {
			r.Baseline, r.BaselineKey = g.cells[i], g.cells[i].Key
		}
		for _, c := range g.cells {
			if c != r.Baseline {
				r.Cases = append(r.Cases, AffinityCase{
					Affinity: c.Levels["affinity"], Unpinned: c.Levels["unpinned"],
					CellAgainst: CellAgainst{c, c.Key, a.gains(r.Baseline, c)},
				})
			}
		}
		both, irq, process := r.Case("both", ""), r.Case("irq", ""), r.Case("process", "")
		if r.Baseline != nil && both != nil && irq != nil && process != nil {
			for _, m := range Metrics {
				r.interaction(m, both.Cell, irq.Cell, process.Cell, a.Confidence)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func (r *AffinityRow) interaction(m Metric, both, irq, process *Cell, confidence float64) {
	var contrasts []float64
	for _, t := range r.Baseline.trials {
		none, ok := m.Of(t)
		if !ok {
			continue
		}
		b, okB := at(both, m, t.Replicate)
		i, okI := at(irq, m, t.Replicate)
		p, okP := at(process, m, t.Replicate)
		if okB && okI && okP {
			contrasts = append(contrasts, (b-i-p+none)/none)
		}
	}
	if c, err := stats.Center(contrasts, confidence); err == nil {
		r.Interaction[m] = &Interaction{c, judge(c.Estimate, confidence)}
	}
}

// at is a metric of the cell's trial in a replicate.
func at(c *Cell, m Metric, replicate int) (float64, bool) {
	for _, t := range c.trials {
		if t.Replicate == replicate {
			return m.Of(t)
		}
	}
	return 0, false
}
