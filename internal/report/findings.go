package report

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// findings are the study's answers in a sentence each, by the primary metric.
// A finding claims only what its interval allows.
func findings(r *analysis.Report) []string {
	var out []string
	for _, e := range r.Experiments {
		if s := affinityFinding(e, r.Primary); s != "" {
			out = append(out, e.Name+": "+s)
		}
		out = append(out, scalingFinding(e, e.CPUs, r.Primary, r.Confidence)...)
		out = append(out, scalingFinding(e, e.NICs, analysis.Throughput, r.Confidence)...)
		for _, x := range e.Placement {
			for _, v := range placementVerdicts(x) {
				out = append(out, e.Name+": "+v)
			}
		}
		for _, x := range e.Pairs {
			for _, v := range pairsVerdicts(x, r.Primary) {
				out = append(out, e.Name+": "+v)
			}
		}
		out = append(out, effectsFinding(e, r.Primary)...)
		for _, c := range e.Contrasts {
			out = append(out, contrastFinding(e, c, r.Primary)...)
		}
	}
	return out
}

// affinityFinding counts rows, since a plan may have one or many.
func affinityFinding(e *analysis.Experiment, m analysis.Metric) string {
	if len(e.Affinity) == 0 {
		return ""
	}
	if len(e.Affinity) == 1 {
		row := e.Affinity[0]
		s := interactionVerdict(e, row, m)
		if c := row.Case("both", ""); c != nil && c.Gains[m] != nil && c.Gains[m].Verdict == analysis.More {
			g := c.Gains[m].Unpaired
			s += fmt.Sprintf(" BOTH against none: %+.1f %% [%+.1f, %+.1f].", 100*g.Value, 100*g.Lo, 100*g.Hi)
		}
		return s
	}
	count := map[analysis.Verdict]int{}
	total := 0
	for _, row := range e.Affinity {
		if x := row.Interaction[m]; x != nil {
			count[x.Verdict]++
			total++
		}
	}
	if total == 0 {
		return "whether BOTH gains more than the sum of IRQ and PROCESS can't be told: a case is missing everywhere."
	}
	var parts []string
	for _, k := range []struct {
		v    analysis.Verdict
		text string
	}{
		{analysis.More, "more than the sum of IRQ and PROCESS in %d"},
		{analysis.Less, "less than the sum in %d"},
		{analysis.NoDifference, "no difference seen in %d"},
		{analysis.TooFew, "too few replicates to tell in %d"},
	} {
		if n := count[k.v]; n > 0 {
			parts = append(parts, fmt.Sprintf(k.text, n))
		}
	}
	return fmt.Sprintf("of %d rows, BOTH gains %s.", total, strings.Join(parts, ", "))
}

// scalingFinding is about the largest size; several rows are told as a range of
// their factors, without intervals.
func scalingFinding(e *analysis.Experiment, ss []*analysis.Scaling, m analysis.Metric, confidence float64) []string {
	var lo, hi *stats.Comparison
	n, rows := 0, 0
	for _, s := range ss {
		last := s.Points[len(s.Points)-1]
		f := last.Factor[m]
		if f == nil || last.N < n {
			continue
		}
		if last.N > n {
			lo, hi, n, rows = nil, nil, last.N, 0
		}
		rows++
		if lo == nil || f.Value < lo.Value {
			lo = f
		}
		if hi == nil || f.Value > hi.Value {
			hi = f
		}
	}
	if lo == nil {
		return notComparable(e, ss)
	}
	one := strings.ToUpper(ss[0].Of[:len(ss[0].Of)-1])
	ideal := float64(n)
	if rows == 1 {
		times := fmt.Sprintf("%.2f [%.2f, %.2f] times %s of one %s, %.0f %% of the ideal",
			lo.Value, lo.Lo, lo.Hi, shortMetric(m), one, 100*lo.Value/ideal)
		switch {
		case lo.Confidence < confidence:
			return []string{fmt.Sprintf("%s: %s what %d %ss give (%s, at %.0f %% confidence).", e.Name, analysis.TooFew, n, one, times, 100*lo.Confidence)}
		case lo.Lo <= 1 && lo.Hi >= 1:
			return []string{fmt.Sprintf("%s: %s between %d %ss and one (%s).", e.Name, analysis.NoDifference, n, one, times)}
		}
		return []string{fmt.Sprintf("%s: %d %ss give %s.", e.Name, n, one, times)}
	}
	return []string{fmt.Sprintf("%s: %d %ss give %.2f to %.2f times %s of one %s over %d rows, %.0f to %.0f %% of the ideal.",
		e.Name, n, one, lo.Value, hi.Value, shortMetric(m), one, rows, 100*lo.Value/ideal, 100*hi.Value/ideal)}
}

// notComparable says why sizes that were measured are not compared; nothing where one
// size was measured.
func notComparable(e *analysis.Experiment, ss []*analysis.Scaling) []string {
	for _, s := range ss {
		if s.Of == "cpus" && len(s.Points) > 1 && s.Points[0].N == 1 {
			return []string{e.Name + ": scaling over CPUs can't be told: the figures don't compare, see the warning cpus-not-in-use."}
		}
	}
	return nil
}

func shortMetric(m analysis.Metric) string {
	if m == analysis.Throughput {
		return "the throughput"
	}
	return "the throughput scaled to CPU"
}

func contrastFinding(e *analysis.Experiment, c *analysis.Contrast, m analysis.Metric) []string {
	var out []string
	if c.Baseline == nil {
		return nil
	}
	for _, a := range c.Against {
		g := a.Gains[m]
		if g == nil {
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s against %s: %s.", e.Name, cellName(e, a.Cell.Levels), cellName(e, c.Baseline.Levels),
			verdictText(g.Unpaired.Estimate, g.Verdict)))
	}
	return out
}
