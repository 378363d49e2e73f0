package report

import (
	"fmt"
	"html/template"
	"math"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// figure is a number of a table with its doubt.
type figure struct {
	Value, Interval, P string
	Verdict            analysis.Verdict
	Class              string // for the style: "more", "less", "none"
	Modes              bool
}

func newFigure(c *stats.Comparison, v analysis.Verdict) *figure {
	return &figure{
		Value: points(c.Value), Interval: pointRange(c.Estimate), P: pValue(c.P), Verdict: v,
		Class: map[analysis.Verdict]string{analysis.More: "more", analysis.Less: "less"}[v],
	}
}

// affinityTable is Table 1's counterpart by one metric.
type affinityTable struct {
	Metric, Baseline string
	Rows             []affinityTableRow
	Verdicts         []string
	Dagger           bool
}

type affinityTableRow struct {
	Name  string
	Cases []*figure // IRQ, PROCESS, BOTH, OPPOSITE, as found, interaction; nil: not measured
	Paper []string  // nil: the paper has no such row
}

func newAffinityTable(e *analysis.Experiment, m analysis.Metric, paper bool) affinityTable {
	t := affinityTable{Metric: metricName(m), Baseline: baselineName(e.Affinity)}
	for _, row := range e.Affinity {
		r := affinityTableRow{Name: rowName(e, row.Rest, row.MessageBytes)}
		for _, k := range tableCases {
			c := row.Case(k.affinity, k.unpinned)
			if c == nil || c.Gains[m] == nil {
				r.Cases = append(r.Cases, nil)
				continue
			}
			f := newFigure(&c.Gains[m].Unpaired, c.Gains[m].Verdict)
			f.Modes = modesMark(c.Cell, m) != ""
			t.Dagger = t.Dagger || f.Modes
			r.Cases = append(r.Cases, f)
		}
		if x := row.Interaction[m]; x != nil {
			r.Cases = append(r.Cases, newFigure(&x.Comparison, x.Verdict))
		} else {
			r.Cases = append(r.Cases, nil)
		}
		if p := row.Paper; p != nil && paper {
			for _, v := range []float64{p.IRQ, p.Process, p.Both} {
				r.Paper = append(r.Paper, points(v))
			}
			r.Paper = append(r.Paper, "", "", points(p.Interaction()))
		}
		t.Rows = append(t.Rows, r)
		t.Verdicts = append(t.Verdicts, interactionVerdict(e, row, m))
	}
	return t
}

// scalingTable is the numbers of Figures 1, 2 and 7's counterparts.
type scalingTable struct {
	Metric, Of string
	Rows       []scalingTableRow
	Fits       []string
	Folded     bool // behind a click: the secondary metric of a long table
}

type scalingTableRow struct {
	Name, N, Median, PlusMinus, Factor, Interval, Ideal, OfIdeal, Paper string
	First                                                               bool // of its message size
	Span                                                                int
}

func newScalingTable(e *analysis.Experiment, ss []*analysis.Scaling, m analysis.Metric) scalingTable {
	t := scalingTable{Metric: metricName(m), Fits: fitTexts(e, ss, m), Of: map[string]string{"cpus": "CPUs", "nics": "NICs"}[ss[0].Of]}
	for _, s := range ss {
		for i, p := range s.Points {
			r := scalingTableRow{
				Name: rowName(e, s.Rest, s.MessageBytes), N: fmt.Sprint(p.N), Ideal: fmt.Sprintf("%.0f", p.Ideal),
				Paper: paperPoint(s, p.N), First: i == 0, Span: len(s.Points),
			}
			if d := p.Cell.Metrics[m]; d != nil {
				r.Median, r.PlusMinus = unit.BitRate(d.Median.Value)+modesMark(p.Cell, m), plusMinus(d.Median)
			}
			if f := p.Factor[m]; f != nil {
				r.Factor, r.Interval = fmt.Sprintf("%.2f", f.Value), fmt.Sprintf("[%.2f, %.2f]", f.Lo, f.Hi)
				r.OfIdeal = fmt.Sprintf("%.0f %%", 100*p.Efficiency[m].Value)
			}
			t.Rows = append(t.Rows, r)
		}
	}
	return t
}

// contrastTable compares cells with a baseline.
type contrastTable struct {
	Baseline string // "" if it has no trial
	Primary  string
	Rows     []contrastTableRow
}

type contrastTableRow struct {
	Name                         string
	Primary, Machine, Throughput *figure
}

func newContrastTable(r *analysis.Report, e *analysis.Experiment, c *analysis.Contrast) contrastTable {
	t := contrastTable{Primary: metricName(r.Primary)}
	if c.Baseline == nil {
		return t
	}
	t.Baseline = cellName(e, c.Baseline.Levels)
	for _, a := range c.Against {
		fig := func(m analysis.Metric) *figure {
			if g := a.Gains[m]; g != nil {
				return newFigure(&g.Unpaired, g.Verdict)
			}
			return nil
		}
		t.Rows = append(t.Rows, contrastTableRow{cellName(e, a.Cell.Levels), fig(r.Primary), fig(analysis.Machine), fig(analysis.Throughput)})
	}
	return t
}

// cellRow is a cell with its single trials.
type cellRow struct {
	Name                        string
	Cell                        *analysis.Cell
	Server, Machine, Throughput *analysis.Measured
	Modes                       *stats.Modes
	Strip, CPU                  template.HTML
}

// points is a share as signed percentage points, and never "-0.00".
func points(share float64) string {
	hundredths := math.Round(100 * 100 * share)
	if hundredths == 0 {
		hundredths = 0 // not the negative zero that -0.001 rounds to
	}
	return fmt.Sprintf("%+.2f", hundredths/100)
}
