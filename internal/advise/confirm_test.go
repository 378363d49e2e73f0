package advise

import (
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// trialsOf are trials of these throughputs and throughputs scaled to CPU.
func trialsOf(throughput, scaled []float64) (out []trial.Trial) {
	for i := range throughput {
		out = append(out, trial.Trial{Status: trial.OK, ThroughputBitsPerSecond: throughput[i], ScaledToCPU: scaled[i]})
	}
	return out
}

// times multiplies every value.
func times(v []float64, by float64) (out []float64) {
	for _, x := range v {
		out = append(out, x*by)
	}
	return out
}

// TestGained holds what is a gain, and what a cost, against both metrics.
func TestGained(t *testing.T) {
	line := []float64{941.1, 941.2, 941.3, 941.4, 941.5, 941.6} // at its rate
	loose := []float64{80, 90, 100, 110, 120, 130}
	for _, x := range []struct {
		name                                     string
		throughput, throughputWith, scaled, with []float64
		gained, lost                             bool
	}{
		{"CPU time saved at a hair more throughput", line, times(line, 1.001), loose, times(loose, 2), true, false},
		{"CPU time saved at a hair less throughput", line, times(line, 0.999), loose, times(loose, 2), true, false},
		{"CPU time saved at less throughput", line, times(line, 0.97), loose, times(loose, 2), false, false},
		{"twice the CPU time for a hair", line, times(line, 1.001), loose, times(loose, 0.5), false, true},
		{"CPU time paid for throughput", line, times(line, 1.3), loose, times(loose, 0.5), true, false},
		{"less throughput", line, times(line, 0.9), loose, loose, false, true},
		{"a hair", line, times(line, 1.001), loose, loose, false, false},
		{"nothing certain", loose, times(loose, 1.1), loose, times(loose, 1.1), false, false},
	} {
		g := cells{0: trialsOf(x.throughput, x.scaled), 1: trialsOf(x.throughputWith, x.with)}.gains(0, 1)
		if g.gained(false) != x.gained || g.lost() != x.lost {
			t.Errorf("%s: gained %v, lost %v, want %v, %v (%s)", x.name, g.gained(false), g.lost(), x.gained, x.lost, words(g))
		}
	}
}

// TestConfidence wants more of a gain that nothing led to expect, and of one in CPU time.
func TestConfidence(t *testing.T) {
	base, with := []float64{100, 101, 102, 103, 104, 114.5}, []float64{112, 113, 114, 115, 116, 117} // p = 0.015
	g := cells{0: trialsOf(base, base), 1: trialsOf(with, base)}.gains(0, 1)
	if g.gained(false) || !g.gained(true) {
		t.Errorf("p = %.3f: gained %v, and %v where it was expected; want false, true", g.Throughput.P, g.gained(false), g.gained(true))
	}
	g = cells{0: trialsOf(base, base), 1: trialsOf(base, with)}.gains(0, 1)
	if g.gained(false) || g.gained(true) {
		t.Errorf("p = %.3f: gained in CPU time", g.Scaled.P)
	}
}

// TestNotKnown wants no verdict from trials that scatter too much, or are too few.
func TestNotKnown(t *testing.T) {
	loose := []float64{70, 80, 90, 110, 130, 150}
	tight := []float64{100, 101, 102}
	for _, x := range []struct {
		name       string
		base, with []float64
		want       Word
	}{
		{"wide", loose, times(loose, 1.2), NotKnown},
		{"seems less, may be much more", loose, []float64{40, 60, 70, 85, 120, 250}, NotKnown},
		{"twice as much, three times", tight, times(tight, 2), NotKnown},
		{"nothing, three times", tight, tight, NotKnown},
		{"nothing", []float64{100, 101, 102, 103, 104}, []float64{100.5, 101.5, 102.5, 103.5, 99.5}, Nothing},
		{"none as found", nil, tight, NotKnown},
		{"not one", tight, nil, NotKnown},
	} {
		got := verdicts([]Remedy{{Name: "x"}}, cells{0: trialsOf(x.base, x.base), 1: trialsOf(x.with, x.with)}, 0)
		if got[0].Word != x.want {
			t.Errorf("%s: %s (%s), want %s", x.name, got[0].Word, got[0].Text, x.want)
		}
	}
	failed := []trial.Trial{{Status: trial.Failed, Error: "no such queue"}}
	if got := verdicts([]Remedy{{Name: "x"}}, cells{0: trialsOf(tight, tight), 1: failed}, 0); got[0].Word != Failed || !strings.Contains(got[0].Text, "no such queue") {
		t.Errorf("no trial succeeded: %s (%s)", got[0].Word, got[0].Text)
	}
	for _, x := range []struct {
		s    Screened
		want Word
	}{
		{Screened{Throughput: 0.12, Noise: 0.1}, NotKnown},
		{Screened{Throughput: 0.02, Noise: 0.1}, Nothing},
		{Screened{Throughput: 0.003, Noise: 0.21}, NotKnown},
		{Screened{Throughput: 0.001, Scaled: 0.2, Noise: 0.001, ScaledNoise: 0.15}, NotKnown},
		{Screened{Throughput: 0.3, Noise: 0.01, Survives: true}, NotKnown}, // and three others came first
		{Screened{Throughput: -0.3, Noise: 0.01}, Costs},
		{Screened{Throughput: 0.001, Scaled: -0.3, Noise: 0.001, ScaledNoise: 0.05}, Costs},
		{Screened{Error: "no turn"}, Failed},
		{Screened{few: true}, NotKnown},
	} {
		if v := screenedOnly(Remedy{}, x.s); v.Word != x.want {
			t.Errorf("%+v: %s, want %s", x.s, v.Word, x.want)
		}
	}
}
