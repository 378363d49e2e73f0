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

// worth is what a change gains in the metric that tells: throughput, or, where that is not gained,
// throughput scaled to CPU.
func (g *Gains) worth() float64 {
	if g.Throughput.Value < worthwhile && g.cheaper() {
		return g.Scaled.Value
	}
	return g.Throughput.Value
}

// cheaper reports whether a change seems to save CPU time worth having, at no less throughput.
func (g *Gains) cheaper() bool {
	return g.Scaled != nil && g.Scaled.Value >= worthwhile && g.Throughput.Value > -worthwhile/2
}

// gained reports whether a change is worth having, by [worthwhile] at least, and certainly gains
// something: throughput, or CPU time at no less throughput. expected says that it mends a cause that was
// named.
func (g *Gains) gained(expected bool) bool {
	if g == nil {
		return false
	}
	throughput, cpu := severe, severe
	if expected {
		throughput = usual
	}
	if g.Throughput.N > replicates[1] {
		cpu = severest
	}
	return g.Throughput.Value >= worthwhile && certain(g.Throughput, throughput) || g.cheaper() && certain(*g.Scaled, cpu)
}

// lost reports whether a change certainly costs: throughput, or CPU time that no throughput pays for.
func (g *Gains) lost() bool {
	costs := func(c stats.Comparison) bool {
		return c.Value <= -worthwhile && certain(c, stats.DefaultConfidence)
	}
	return costs(g.Throughput) || g.Scaled != nil && g.Throughput.Value < worthwhile && costs(*g.Scaled)
}

// Confidence of a gain. With usual at each of up to three looks at a growing number of trials noise alone makes a
// gain of a remedy in one of fifty cases. What has more chances to be misled needs more: one of several
// remedies that nothing led to expect; CPU time, which is looked at beside throughput; and that looked at again.
const (
	usual    = 0.98
	severe   = 0.99
	severest = 0.995
)

// certain reports whether a difference excludes none. P rather than the interval is asked, which is one
// of [stats.DefaultConfidence].
func certain(c stats.Comparison, confidence float64) bool { return c.P <= 1-confidence+1e-12 }

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
			if g := c.gains(taken, taken|1<<i); g.gained(remedies[i].expected()) && better(i, g) {
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
		if v.Alone != nil {
			v.Text = words(v.Alone)
		}
		last := len(c[1<<i]) - 1
		switch {
		case v.Alone == nil && last >= 0 && len(values(c[1<<i], throughput)) == 0:
			v.Word, v.Text = Failed, "none of its trials succeeded: "+c[1<<i][last].Error
		case v.Alone == nil:
			v.Word, v.Text = NotKnown, "there are no trials of it and as found to compare"
		case taken&(1<<i) != 0:
			v.Word = Gained
		case v.Alone.gained(r.expected()) && c.gains(taken, taken|1<<i) == nil:
			v.Word = Gained
			v.Text += "; what it gains beyond what is advised before it was not measured"
		case v.Alone.gained(r.expected()):
			v.Word = Gained
			v.Text += "; nothing beyond what is advised before it"
		case v.Alone.lost():
			v.Word = Costs
		case v.Alone.undecided():
			v.Word = NotKnown
			v.Text += fmt.Sprintf(" of %d trials each: too few for how they scatter", v.Alone.Throughput.N)
		}
		out = append(out, v)
	}
	return out
}

// undecided reports whether a change that did not certainly gain or cost may gain all the same: it seems to,
// its interval holds a gain that is [wide], or it has too few trials for anything to be certain.
func (g *Gains) undecided() bool {
	return g.worth() >= worthwhile || g.Throughput.N < fewest || g.Throughput.Hi >= wide ||
		g.Scaled != nil && g.Throughput.Value > -worthwhile/2 && g.Scaled.Hi >= wide
}

// screenedOnly is the verdict on a remedy that did not come into the factorial.
func screenedOnly(r Remedy, s Screened) Verdict {
	v := Verdict{Remedy: r, Word: Nothing, Text: fmt.Sprintf("throughput %s in the screening, whose noise is ±%s; scaled to CPU %s, ±%s",
		unit.Change(s.Throughput), unit.Percent(s.Noise), unit.Change(s.Scaled), unit.Percent(s.ScaledNoise))}
	switch {
	case s.Error != "":
		v.Word, v.Text = Failed, "none of its trials in the screening succeeded: "+s.Error
	case s.few:
		v.Word, v.Text = NotKnown, "too few of the trials with it, or without it, succeeded in the screening"
	case s.Survives:
		v.Word = NotKnown
		v.Text += fmt.Sprintf("; %d others that came before it were measured: try it again when they are mended", maxSurvivors)
	case s.undecided():
		v.Word = NotKnown
		v.Text += ": too much noise to tell"
	case s.Throughput <= -max(worthwhile, survive*s.Noise), s.Throughput < worthwhile && s.Scaled <= -max(worthwhile, survive*s.ScaledNoise):
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
