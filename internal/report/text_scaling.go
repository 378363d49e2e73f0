package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/unit"
)

func (p *printer) scaling(e *analysis.Experiment, ss []*analysis.Scaling, metrics []analysis.Metric) {
	for _, m := range metrics {
		p.print("\n")
		of := strings.ToUpper(ss[0].Of[:len(ss[0].Of)-1]) + "s"
		p.line(fmt.Sprintf("  %s over %s, factor to one", upperFirst(metricName(m)), of), plain)
		t := &table{left: 1}
		t.head("Msgsize", of, "median", "± interval", "factor", "interval", "ideal", "of ideal", "paper")
		for _, s := range ss {
			for i, pt := range s.Points {
				t.row(p.point(e, s, i, pt, m)...)
			}
		}
		p.table(t)
		for _, f := range fitTexts(e, ss, m) {
			p.wrap("  "+f, 4, plain)
		}
	}
}

func (p *printer) point(e *analysis.Experiment, s *analysis.Scaling, i int, pt *analysis.ScalePoint, m analysis.Metric) []textCell {
	name := ""
	if i == 0 {
		name = rowName(e, s.Rest, s.MessageBytes)
	}
	row := []textCell{{text: name}, {text: fmt.Sprint(pt.N)}}
	if d := pt.Cell.Metrics[m]; d != nil {
		row = append(row, textCell{text: unit.BitRate(d.Median.Value)}, textCell{plusMinus(d.Median), dim})
	} else {
		row = append(row, textCell{"-", dim}, textCell{})
	}
	if f := pt.Factor[m]; f != nil {
		row = append(row, textCell{fmt.Sprintf("%.2f", f.Value), bold},
			textCell{fmt.Sprintf("[%.2f, %.2f]", f.Lo, f.Hi), dim},
			textCell{fmt.Sprintf("%.0f", pt.Ideal), dim}, textCell{text: fmt.Sprintf("%.0f %%", 100*pt.Efficiency[m].Value)})
	} else {
		ideal := fmt.Sprintf("%.0f", pt.Ideal)
		row = append(row, textCell{}, textCell{}, textCell{ideal, dim}, textCell{})
	}
	return append(row, textCell{paperPoint(s, pt.N), dim})
}

// paperPoint is what the paper's text states for the same number, as a factor.
func paperPoint(s *analysis.Scaling, n int) string {
	switch {
	case s.Of == "nics":
		for _, k := range analysis.PaperNICs {
			if k.NICs == n {
				return fmt.Sprintf("%.2f", k.BitsPerSecond/analysis.PaperNICs[0].BitsPerSecond)
			}
		}
	case s.Of == "cpus" && n == 4:
		return fmt.Sprintf("~%.0f", analysis.PaperSMP4)
	}
	return ""
}

func fitText(e *analysis.Experiment, s *analysis.Scaling, u *stats.USL) string {
	text := fmt.Sprintf("Universal Scalability Law, %s: contention %.3f [%.3f, %.3f], coherence %.4f [%.4f, %.4f]",
		rowName(e, s.Rest, s.MessageBytes), u.Sigma.Value, u.Sigma.Lo, u.Sigma.Hi, u.Kappa.Value, u.Kappa.Lo, u.Kappa.Hi)
	if u.PeakN > 0 {
		text += fmt.Sprintf(", most at %.1f %s", u.PeakN, strings.ToUpper(s.Of[:len(s.Of)-1])+"s")
	}
	return text + "."
}

// fitTexts are the fits of all rows, and what to doubt in them, once.
func fitTexts(e *analysis.Experiment, ss []*analysis.Scaling, m analysis.Metric) []string {
	var out, doubts []string
	for _, s := range ss {
		u := s.Fits[m]
		if u == nil {
			continue
		}
		out = append(out, fitText(e, s, u))
		for _, w := range u.Warnings {
			if w = upperFirst(w) + "."; !slices.Contains(doubts, w) {
				doubts = append(doubts, w)
			}
		}
	}
	return append(out, doubts...)
}

func (p *printer) contrast(r *analysis.Report, e *analysis.Experiment, c *analysis.Contrast) {
	p.print("\n")
	if c.Baseline == nil {
		p.line("  The baseline has no trial: nothing to compare with.", yellow)
		return
	}
	p.line(fmt.Sprintf("  Against %s", cellName(e, c.Baseline.Levels)), plain)
	t := &table{left: 1}
	t.head("Cell", "gain (%)", "interval", "p", "machine (%)", "throughput (%)", "verdict")
	for _, a := range c.Against {
		row := []textCell{{text: cellName(e, a.Cell.Levels)}}
		if g := a.Gains[r.Primary]; g != nil {
			row = append(row, textCell{points(g.Unpaired.Value), verdictStyle(g.Verdict)},
				textCell{pointRange(g.Unpaired.Estimate), dim}, textCell{pValue(g.Unpaired.P), dim})
		} else {
			row = append(row, textCell{"-", dim}, textCell{}, textCell{})
		}
		for _, m := range []analysis.Metric{analysis.Machine, analysis.Throughput} {
			if g := a.Gains[m]; g != nil {
				row = append(row, textCell{text: points(g.Unpaired.Value), style: verdictStyle(g.Verdict)})
			} else {
				row = append(row, textCell{"-", dim})
			}
		}
		if g := a.Gains[r.Primary]; g != nil {
			row = append(row, textCell{text: string(g.Verdict)})
		}
		t.row(row...)
	}
	p.table(t)
}
