package report

import (
	"fmt"
	"html/template"
	"math"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// heatSteps is how many shades a heat map has. The figures stand in its cells: the shade
// never tells anything alone.
const heatSteps = 6

// heatMap is Figure 8's counterpart by one metric.
type heatMap struct {
	Metric, Caption string
	SVG             template.HTML
	Wide            bool // too wide for half of the page
	Verdicts        []string
}

func newHeatMap(e *analysis.Experiment, x *analysis.Pairs, m analysis.Metric, machine *topo.Machine) *heatMap {
	if _, ok := x.Best[m]; !ok {
		return nil
	}
	h := &heatMap{Metric: metricName(m), Verdicts: pairsVerdicts(x, m)}
	h.Caption = "Figure 8’s counterpart: " + h.Metric + ", by the CPU of the last NIC’s interrupts and of its process"
	if rest := restName(e, x.Rest); rest != "" {
		h.Caption += ", " + rest
	}
	h.Wide = len(x.Process) > 4
	h.SVG = drawPairs(x, m, machine, h.Caption)
	return h
}

// Sizes of the heat map, in pixels at full size.
const (
	heatWidth, heatHeight = 108.0, 54.0
	heatLeft, heatTop     = 96.0, 44.0
)

func drawPairs(x *analysis.Pairs, m analysis.Metric, machine *topo.Machine, title string) template.HTML {
	var s svg
	width := heatLeft + heatWidth*float64(len(x.Process)) + 4
	s.open(max(width, 340), heatTop+heatHeight*float64(len(x.IRQ))+4, "chart heatmap", title, "The table of cells below holds the same numbers.")
	s.text(heatLeft, 14, "start", "xtitle", "process on")
	s.text(4, heatTop-8, "start", "ytitle", "interrupts on")
	for j, cpu := range x.Process {
		s.text(heatLeft+heatWidth*(float64(j)+.5), heatTop-8, "middle", "", fmt.Sprintf("CPU %d", cpu))
	}
	for i, irq := range x.IRQ {
		y := heatTop + heatHeight*float64(i)
		s.text(4, y+heatHeight/2+4, "start", "", fmt.Sprintf("CPU %d", irq))
		for j, process := range x.Process {
			left := heatLeft + heatWidth*float64(j)
			c := x.Cells[i][j]
			if c == nil || c.Metrics[m] == nil {
				s.rect(left+1, y+1, heatWidth-2, heatHeight-2, "heat none", "not measured")
				s.text(left+heatWidth/2, y+heatHeight/2+4, "middle", "", "-")
				continue
			}
			med := c.Metrics[m].Median
			near := nearness(machine, irq, process)
			s.rect(left+1, y+1, heatWidth-2, heatHeight-2, fmt.Sprintf("heat h%d", shade(x, m, med.Value)),
				rateTip(fmt.Sprintf("interrupts on CPU %d, process on CPU %d (%s)", irq, process, near), med))
			name := unit.BitRate(med.Value) + modesMark(c, m)
			switch (analysis.Pair{IRQ: irq, Process: process}) {
			case x.Best[m]:
				name += " ▲"
			case x.Worst[m]:
				name += " ▼"
			}
			s.text(left+heatWidth/2, y+heatHeight/2-4, "middle", "heatvalue", name)
			s.text(left+heatWidth/2, y+heatHeight/2+15, "middle", "", near)
		}
	}
	return s.close()
}

// shade is one for all where the pairs can't be told apart: differences that
// may be noise get no colours.
func shade(x *analysis.Pairs, m analysis.Metric, v float64) int {
	if g := x.Spread[m]; g == nil || g.Verdict != analysis.More {
		return 1
	}
	lo, hi := pairValue(x, m, x.Worst[m]), pairValue(x, m, x.Best[m])
	return int(math.Round((heatSteps - 1) * (v - lo) / (hi - lo)))
}

func pairValue(x *analysis.Pairs, m analysis.Metric, at analysis.Pair) float64 {
	for i, irq := range x.IRQ {
		for j, process := range x.Process {
			if irq == at.IRQ && process == at.Process {
				return x.Cells[i][j].Metrics[m].Median.Value
			}
		}
	}
	return 0
}

// nearness is the nearest thing that two CPUs share; "" where the topology is not known.
func nearness(m *topo.Machine, a, b int) string {
	if a == b {
		return "same CPU"
	}
	if m == nil {
		return ""
	}
	var x, y *topo.CPU
	for i := range m.CPUs {
		switch m.CPUs[i].CPU {
		case a:
			x = &m.CPUs[i]
		case b:
			y = &m.CPUs[i]
		}
	}
	if x == nil || y == nil {
		return ""
	}
	if x.Siblings.Has(b) {
		return "same core"
	}
	level := 0
	for _, c := range m.Caches {
		if c.CPUs.Has(a) && c.CPUs.Has(b) && (level == 0 || c.Level < level) {
			level = c.Level
		}
	}
	switch {
	case level > 0:
		return fmt.Sprintf("same L%d cache", level)
	case x.Node >= 0 && x.Node == y.Node:
		return "same node"
	case x.Package >= 0 && x.Package == y.Package:
		return "same package"
	}
	return "other package"
}

// pairsVerdicts says what the pairs show.
func pairsVerdicts(x *analysis.Pairs, m analysis.Metric) []string {
	name := func(p analysis.Pair) string {
		return fmt.Sprintf("interrupts on CPU %d, process on CPU %d", p.IRQ, p.Process)
	}
	var out []string
	if g := x.Spread[m]; g != nil {
		apart := fmt.Sprintf("%+.1f %%; over all pairs %s", 100*g.Value, pValue(g.P))
		switch g.Verdict {
		case analysis.More:
			out = append(out, fmt.Sprintf("Most with %s (%s), least with %s (%s): %s. Both were picked for what they gave, which widens the gap.",
				name(x.Best[m]), unit.BitRate(pairValue(x, m, x.Best[m])), name(x.Worst[m]), unit.BitRate(pairValue(x, m, x.Worst[m])), apart))
		case analysis.TooFew:
			out = append(out, fmt.Sprintf("Too few replicates to tell whether any pair gives more than another (best against worst %s).", apart))
		default:
			out = append(out, fmt.Sprintf("No difference seen between any two pairs (best against worst %s).", apart))
		}
	}
	if s := x.Same[m]; s != nil {
		text := map[analysis.Verdict]string{
			analysis.More:         "Interrupts and process on one CPU give more than on two",
			analysis.Less:         "Interrupts and process on one CPU give less than on two",
			analysis.NoDifference: "No difference seen between interrupts and process on one CPU and on two",
			analysis.TooFew:       "Too few replicates to tell interrupts and process on one CPU from two",
		}[s.Verdict]
		out = append(out, fmt.Sprintf("%s: %+.1f %% [%+.1f, %+.1f], %s.", text, 100*s.Value, 100*s.Lo, 100*s.Hi, pValue(s.P)))
	}
	return out
}

// heatMaps are those of an experiment, the primary metric first.
func heatMaps(r *analysis.Report, e *analysis.Experiment, machine *topo.Machine) (out []*heatMap) {
	for _, x := range e.Pairs {
		for _, m := range pairMetrics(r) {
			if h := newHeatMap(e, x, m, machine); h != nil {
				out = append(out, h)
			}
		}
	}
	return out
}

// pairMetrics puts throughput, which the paper's figure shows, behind the primary metric.
func pairMetrics(r *analysis.Report) []analysis.Metric {
	return []analysis.Metric{r.Primary, analysis.Throughput}
}

// pairs prints the pairs of CPUs as a matrix.
func (p *printer) pairs(r *analysis.Report, e *analysis.Experiment, x *analysis.Pairs) {
	for _, m := range pairMetrics(r) {
		if _, ok := x.Best[m]; !ok {
			continue
		}
		p.print("\n")
		p.wrap("  "+upperFirst(metricName(m))+", by the CPU of the last NIC's interrupts (rows) and of its process", 4, plain)
		if rest := restName(e, x.Rest); rest != "" {
			p.line("  "+rest, dim)
		}
		t := &table{left: 1}
		head := []string{"Interrupts"}
		for _, cpu := range x.Process {
			head = append(head, fmt.Sprintf("CPU %d", cpu))
		}
		t.head(head...)
		for i, irq := range x.IRQ {
			row := []textCell{{text: fmt.Sprintf("CPU %d", irq)}}
			doubt := []textCell{{}}
			for j, process := range x.Process {
				c := x.Cells[i][j]
				if c == nil || c.Metrics[m] == nil {
					row, doubt = append(row, textCell{"-", dim}), append(doubt, textCell{})
					continue
				}
				st := plain
				switch (analysis.Pair{IRQ: irq, Process: process}) {
				case x.Best[m]:
					st = bold
				case x.Worst[m]:
					st = dim
				}
				row = append(row, textCell{unit.BitRate(c.Metrics[m].Median.Value) + modesMark(c, m), st})
				doubt = append(doubt, textCell{plusMinus(c.Metrics[m].Median), dim})
			}
			t.row(row...)
			t.row(doubt...)
		}
		p.table(t)
		for _, v := range pairsVerdicts(x, m) {
			p.wrap("  "+v, 4, plain)
		}
	}
}
