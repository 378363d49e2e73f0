package report

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/unit"
)

func estimateMark(e stats.Estimate, tip string) mark {
	return mark{Has: true, V: e.Value, Lo: e.Lo, Hi: e.Hi, Tip: tip}
}

func rateTip(name string, e stats.Estimate) string {
	return fmt.Sprintf("%s: %s [%s, %s]", name, unit.BitRate(e.Value), unit.BitRate(e.Lo), unit.BitRate(e.Hi))
}

// sizeName is the category of a row: its message size, with what else varies.
func sizeName(e *analysis.Experiment, rest map[string]string, bytes int64) string {
	if name := restName(e, rest); name != "" {
		return name
	}
	if bytes > 0 {
		return unit.Size(bytes)
	}
	return "all"
}

// cases are the affinity cases in the order of the figures; the index is the
// colour.
var cases = []struct{ affinity, unpinned, name string }{
	{"none", "", "none"},
	{"irq", "", "IRQ"},
	{"process", "", "PROCESS"},
	{"both", "", "BOTH"},
	{"opposite", "", "OPPOSITE"},
	{"none", "as-found", "as found"},
}

// caseCell is the cell of a case in a row, nil if not measured.
func caseCell(row *analysis.AffinityRow, i int) *analysis.Cell {
	if i == 0 {
		return row.Baseline
	}
	if c := row.Case(cases[i].affinity, cases[i].unpinned); c != nil {
		return c.Cell
	}
	return nil
}

// figure3 is throughput scaled to CPU by message size for each affinity case.
func figure3(e *analysis.Experiment, m analysis.Metric) *chart {
	c := &chart{
		Title:   "Throughput scaled to CPU by message size for each affinity case",
		Desc:    "The table of cells below holds the same numbers.",
		Caption: "Figure 3’s counterpart: " + metricName(m) + ", by affinity.",
		XTitle:  "message size",
	}
	for k, cs := range cases {
		s := series{Name: cs.name, Color: k}
		seen := false
		for _, row := range e.Affinity {
			var mk mark
			if cell := caseCell(row, k); cell != nil && cell.Metrics[m] != nil {
				mk = estimateMark(cell.Metrics[m].Median, rateTip(cs.name+", "+sizeName(e, row.Rest, row.MessageBytes), cell.Metrics[m].Median))
				seen = true
			}
			s.Marks = append(s.Marks, mk)
		}
		if seen {
			c.Series = append(c.Series, s)
		}
	}
	for _, row := range e.Affinity {
		c.Cats = append(c.Cats, sizeName(e, row.Rest, row.MessageBytes))
	}
	if len(c.Series) == 0 {
		return nil
	}
	if len(c.Cats) == 1 {
		c.byCase()
	}
	c.YTitle = c.rescale()
	return c
}

// byCase turns a chart with one category into bars, one a case.
func (c *chart) byCase() {
	size := c.Cats[0]
	one := series{}
	c.Cats = nil
	for _, s := range c.Series {
		c.Cats = append(c.Cats, s.Name)
		s.Marks[0].Color = s.Color
		one.Marks = append(one.Marks, s.Marks[0])
	}
	c.Series, c.Bars, c.colorPerMark = []series{one}, true, true
	c.XTitle = "affinity, messages of " + size
}

// table1Figure draws the gains of Table 1 with the paper's beside.
func table1Figure(e *analysis.Experiment, m analysis.Metric) *chart {
	c := &chart{
		Title:   "Gain of each affinity case over no affinity",
		Desc:    "Table 1’s counterpart holds the same numbers.",
		Caption: "Gain in " + metricName(m) + ", over " + baselineName(e.Affinity) + ".",
		XTitle:  "message size", YTitle: "% gain", Bars: true,
	}
	for k, cs := range cases[1:] {
		s := series{Name: cs.name, Color: k + 1}
		seen := false
		for _, row := range e.Affinity {
			var mk mark
			if cc := row.Case(cs.affinity, cs.unpinned); cc != nil && cc.Gains[m] != nil {
				g := cc.Gains[m].Unpaired
				mk = estimateMark(g.Estimate, fmt.Sprintf("%s, %s: %+.1f %% %s", cs.name, sizeName(e, row.Rest, row.MessageBytes), 100*g.Value, pointRange(g.Estimate)))
				if p := row.Paper; p != nil {
					mk.Paper = map[string]float64{"irq": p.IRQ, "process": p.Process, "both": p.Both}[cs.affinity]
					c.PaperLegend = c.PaperLegend || mk.Paper != 0
				}
				mk = mk.scaled(0.01)
				seen = true
			}
			s.Marks = append(s.Marks, mk)
		}
		if seen {
			c.Series = append(c.Series, s)
		}
	}
	for _, row := range e.Affinity {
		c.Cats = append(c.Cats, sizeName(e, row.Rest, row.MessageBytes))
	}
	if len(c.Series) == 0 {
		return nil
	}
	if len(c.Cats) == 1 {
		c.byCase()
	}
	return c
}

// figureSMP is the scaling factor by message size, a bar a CPU count, as in
// Figures 1 and 2.
func figureSMP(e *analysis.Experiment, ss []*analysis.Scaling, m analysis.Metric) *chart {
	c := &chart{
		Title:   "SMP scaling factor by message size",
		Desc:    "The table below holds the same numbers.",
		Caption: "Counterpart of Figures 1 and 2: factor of " + metricName(m) + " to one CPU; dashed: the ideal.",
		XTitle:  "message size", YTitle: "factor to one CPU", Bars: true, IdealLegend: true,
	}
	var ns []int
	for _, s := range ss {
		c.Cats = append(c.Cats, sizeName(e, s.Rest, s.MessageBytes))
		for _, p := range s.Points {
			if p.Factor[m] != nil && !slices.Contains(ns, p.N) {
				ns = append(ns, p.N)
			}
		}
	}
	slices.Sort(ns)
	for k, n := range ns {
		sr := series{Name: fmt.Sprintf("%dP", n), Color: k + 1}
		for i, s := range ss {
			var mk mark
			for _, p := range s.Points {
				if f := p.Factor[m]; p.N == n && f != nil {
					mk = estimateMark(f.Estimate, fmt.Sprintf("%dP, %s: %.2f [%.2f, %.2f], ideal %d", n, c.Cats[i], f.Value, f.Lo, f.Hi, n))
					mk.Ideal = p.Ideal
				}
			}
			sr.Marks = append(sr.Marks, mk)
		}
		c.Series = append(c.Series, sr)
	}
	if len(c.Series) == 0 {
		return nil
	}
	if len(ss) == 1 {
		return curveSMP(c, ss[0], m)
	}
	return c
}

// curveSMP draws one row as a curve over CPUs, with the ideal and the fit.
func curveSMP(c *chart, s *analysis.Scaling, m analysis.Metric) *chart {
	c.Bars, c.IdealLegend = false, false
	c.XTitle = "CPUs"
	if s.MessageBytes > 0 {
		c.XTitle += ", messages of " + unit.Size(s.MessageBytes)
	}
	c.Cats = nil
	measured := series{Name: "measured", Color: 1}
	ideal, fit := series{Name: "ideal", Dashed: true}, series{Name: "Universal Scalability Law", Color: 2}
	for _, p := range s.Points {
		c.Cats, c.Xs = append(c.Cats, fmt.Sprint(p.N)), append(c.Xs, float64(p.N))
		mk := mark{}
		if f := p.Factor[m]; f != nil {
			mk = estimateMark(f.Estimate, fmt.Sprintf("%d CPUs: %.2f [%.2f, %.2f], ideal %d", p.N, f.Value, f.Lo, f.Hi, p.N))
		} else if p.N == 1 {
			mk = mark{Has: true, V: 1, Lo: 1, Hi: 1, Tip: "1 CPU: 1 by definition"}
		}
		measured.Marks = append(measured.Marks, mk)
		ideal.Marks = append(ideal.Marks, mark{Has: true, V: p.Ideal, Lo: p.Ideal, Hi: p.Ideal})
	}
	if u := s.Fits[m]; u != nil && s.Points[0].N == 1 {
		fit.Curve = func(n float64) float64 { return u.At(n) / u.At(1) }
	}
	c.Series = []series{ideal}
	if fit.Curve != nil {
		c.Series = append(c.Series, fit)
	}
	c.Series = append(c.Series, measured)
	return c
}

// figure7 is throughput by the number of NICs, with the ideal and the paper's
// shape, both from this study's one NIC.
func figure7(e *analysis.Experiment, ss []*analysis.Scaling) *chart {
	const m = analysis.Throughput
	c := &chart{
		Title:   "Throughput by number of NICs",
		Desc:    "The table below holds the same numbers.",
		Caption: "Figure 7’s counterpart: total throughput over NICs.",
		XTitle:  "NICs",
	}
	var ns []int
	for _, s := range ss {
		for _, p := range s.Points {
			if !slices.Contains(ns, p.N) {
				ns = append(ns, p.N)
			}
		}
	}
	slices.Sort(ns)
	for _, n := range ns {
		c.Cats, c.Xs = append(c.Cats, fmt.Sprint(n)), append(c.Xs, float64(n))
	}
	for k, s := range ss {
		sr := series{Name: sizeName(e, s.Rest, s.MessageBytes), Color: k + 1, Marks: make([]mark, len(ns))}
		for _, p := range s.Points {
			if d := p.Cell.Metrics[m]; d != nil {
				sr.Marks[slices.Index(ns, p.N)] = estimateMark(d.Median, rateTip(fmt.Sprintf("%s, %d NICs", sr.Name, p.N), d.Median))
			}
		}
		c.Series = append(c.Series, sr)
	}
	first := ss[len(ss)-1].Points[0]
	if d := first.Cell.Metrics[m]; first.N == 1 && d != nil {
		c.references(ns, d.Median.Value, len(ss) > 1)
	}
	c.YTitle = c.rescale()
	return c
}

// references adds the ideal line and the paper's two points, scaled to one NIC
// of this study.
func (c *chart) references(ns []int, one float64, several bool) {
	ideal := series{Name: "ideal", Dashed: true}
	paper := series{Name: "the paper’s shape, scaled to one NIC here", Hollow: true}
	if several {
		ideal.Name = "ideal, largest message"
	}
	for _, n := range ns {
		ideal.Marks = append(ideal.Marks, mark{Has: true, V: one * float64(n), Lo: one * float64(n), Hi: one * float64(n)})
		var mk mark
		for _, p := range analysis.PaperNICs {
			if p.NICs == n {
				v := one * p.BitsPerSecond / analysis.PaperNICs[0].BitsPerSecond
				mk = mark{Has: true, V: v, Lo: v, Hi: v, Tip: fmt.Sprintf("the paper, %d NICs: %s", n, unit.BitRate(p.BitsPerSecond))}
			}
		}
		paper.Marks = append(paper.Marks, mk)
	}
	c.Series = append(c.Series, ideal, paper)
}

// figureContrast draws the cells of a contrast as bars, the baseline first.
func figureContrast(e *analysis.Experiment, k *analysis.Contrast, m analysis.Metric) *chart {
	c := &chart{
		Title:   upperFirst(metricName(m)) + " by cell",
		Desc:    "The table of cells below holds the same numbers.",
		Caption: upperFirst(metricName(m)) + ".",
		Bars:    true, colorPerMark: true,
	}
	c.XTitle = restName(e, k.Rest)
	one := series{}
	cells := []*analysis.Cell{}
	if k.Baseline != nil {
		cells = append(cells, k.Baseline)
	}
	for _, a := range k.Against {
		cells = append(cells, a.Cell)
	}
	for i, cell := range cells {
		d := cell.Metrics[m]
		if d == nil {
			continue
		}
		levels := maps.Clone(cell.Levels)
		for f := range k.Rest {
			delete(levels, f)
		}
		name := cellName(e, levels)
		mk := estimateMark(d.Median, rateTip(name, d.Median))
		mk.Color = i
		c.Cats, one.Marks = append(c.Cats, name), append(one.Marks, mk)
	}
	if len(c.Cats) < 2 || len(c.Cats) > 6 {
		return nil
	}
	c.Series = []series{one}
	c.YTitle = c.rescale()
	return c
}
