package advise

import (
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// cells are the trials of the full factorial over some remedies, by which were there: bit i is
// remedy i.
type cells map[int][]trial.Trial

// gains of one cell over another; nil where either has no trial.
func (c cells) gains(base, with int) *Gains {
	t, err := stats.Gain(values(c[base], throughput), values(c[with], throughput), stats.DefaultConfidence)
	if err != nil {
		return nil
	}
	g := &Gains{Throughput: t}
	if s, err := stats.Gain(values(c[base], scaled), values(c[with], scaled), stats.DefaultConfidence); err == nil {
		g.Scaled = &s
	}
	return g
}

func throughput(t *trial.Trial) float64 { return t.ThroughputBitsPerSecond }
func scaled(t *trial.Trial) float64     { return t.ScaledToCPU }

func values(trials []trial.Trial, of func(*trial.Trial) float64) []float64 {
	var out []float64
	for i := range trials {
		if trials[i].Status == trial.OK {
			out = append(out, of(&trials[i]))
		}
	}
	return out
}

// worth is what a change gains in the metric that tells: throughput, or, where that does
// not change, throughput scaled to CPU.
func (g *Gains) worth() float64 {
	if certain(g.Throughput) || g.Scaled == nil {
		return g.Throughput.Value
	}
	if g.Throughput.Value > -worthwhile/2 && certain(*g.Scaled) {
		return g.Scaled.Value
	}
	return g.Throughput.Value
}

// gained reports whether a change is worth having: by [worthwhile] at least, and certainly by
// something.
func (g *Gains) gained() bool {
	if g == nil {
		return false
	}
	if certain(g.Throughput) {
		return g.Throughput.Value >= worthwhile
	}
	return g.Scaled != nil && certain(*g.Scaled) && g.Scaled.Value >= worthwhile && g.Throughput.Value > -worthwhile/2
}

// lost reports whether a change certainly costs.
func (g *Gains) lost() bool {
	return g != nil && certain(g.Throughput) && g.Throughput.Value <= -worthwhile
}

func certain(c stats.Comparison) bool { return c.Excludes(0, stats.DefaultConfidence) }

// choose takes remedies one after the other, each time the one that gains most over those
// taken before, as long as one gains. Those linked to the first cause come first, if they
// gain: a remedy that mends what was found is better advice than one that makes up for it.
func choose(remedies []Remedy, c cells, first string) (advice []Advice, taken int) {
	for {
		best := -1
		var most *Gains
		better := func(i int, g *Gains) bool {
			if best < 0 {
				return true
			}
			mends, mended := slices.Contains(remedies[i].For, first), slices.Contains(remedies[best].For, first)
			if len(advice) == 0 && mends != mended {
				return mends
			}
			return g.worth() > most.worth()
		}
		for i := range remedies {
			if taken&(1<<i) != 0 {
				continue
			}
			if g := c.gains(taken, taken|1<<i); g.gained() && better(i, g) {
				best, most = i, g
			}
		}
		if best < 0 {
			return advice, taken
		}
		advice = append(advice, Advice{Remedy: remedies[best], Gains: *most})
		taken |= 1 << best
	}
}

// verdicts on the remedies of the factorial.
func verdicts(remedies []Remedy, c cells, taken int) []Verdict {
	var out []Verdict
	for i, r := range remedies {
		v := Verdict{Remedy: r, Word: Nothing, Alone: c.gains(0, 1<<i)}
		switch {
		case v.Alone == nil:
			v.Word, v.Text = Failed, "none of its trials, or of those as found beside it, succeeded"
		case taken&(1<<i) != 0:
			v.Word, v.Text = Gained, words(v.Alone)
		case v.Alone.gained():
			v.Word, v.Text = Gained, words(v.Alone)+"; nothing beyond what is advised before it"
		case v.Alone.lost():
			v.Word, v.Text = Costs, words(v.Alone)
		default:
			v.Text = words(v.Alone)
		}
		out = append(out, v)
	}
	return out
}

// screenedOnly is the verdict on a remedy that did not come into the factorial.
func screenedOnly(r Remedy, s Screened) Verdict {
	v := Verdict{Remedy: r, Word: Nothing, Text: fmt.Sprintf("%s in the screening, whose noise is ±%s", unit.Change(s.Throughput), unit.Percent(s.Noise))}
	if s.Throughput <= -max(worthwhile, survive*s.Noise) {
		v.Word = Costs
	}
	return v
}

// words are the gains in words.
func words(g *Gains) string {
	text := "throughput " + estimate(g.Throughput)
	if g.Scaled != nil {
		text += ", scaled to CPU " + estimate(*g.Scaled)
	}
	return text
}

func estimate(c stats.Comparison) string {
	return fmt.Sprintf("%s [%+.1f %+.1f]", unit.Change(c.Value), 100*c.Lo, 100*c.Hi)
}
