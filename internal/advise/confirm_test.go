package advise

import (
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

// TestConfidence wants more of a gain that nothing led to expect, and of one that was looked at again.
func TestConfidence(t *testing.T) {
	base, with := []float64{100, 101, 102, 103, 104, 116.5}, []float64{112, 113, 114, 115, 116, 117} // p = 0.04
	once := cells{0: trialsOf(base, base), 1: trialsOf(with, base)}.gains(0, 1)
	if once.gained(false) || !once.gained(true) {
		t.Errorf("p = %.3f: gained %v, and %v where it was expected; want false, true", once.Throughput.P, once.gained(false), once.gained(true))
	}
	again := *once
	again.Throughput.N = 2 * once.Throughput.N
	if again.gained(true) {
		t.Errorf("p = %.3f of trials that were added until it was so", again.Throughput.P)
	}
}
