package analysis_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/synthetic"
)

// TestPairs wants what was put in: both on one CPU best, two packages worst.
func TestPairs(t *testing.T) {
	plan := analysis.ReadPlan(json.RawMessage(synthetic.PairsPlan))
	r := analysis.Analyze(synthetic.Pairs(synthetic.Options{Seed: 3, Bad: true, Missing: true}, 8, false), analysis.Options{Plan: plan})
	e := r.Experiments[0]
	if len(e.Pairs) != 1 {
		t.Fatalf("%d matrices", len(e.Pairs))
	}
	p := e.Pairs[0]
	if len(p.IRQ) != 8 || len(p.Process) != 8 || p.Keys[3][5] != "irq_cpu=3,process_cpu=5" {
		t.Fatalf("rows %v, columns %v, %q", p.IRQ, p.Process, p.Keys[3][5])
	}
	best, worst := p.Best[analysis.Server], p.Worst[analysis.Server]
	if best.IRQ != best.Process || worst.IRQ/4 == worst.Process/4 {
		t.Errorf("best %+v, worst %+v", best, worst)
	}
	if g := p.Spread[analysis.Server]; g == nil || g.Verdict != analysis.More || math.Abs(g.Value-(1/synthetic.PairFar-1)) > 0.06 {
		t.Errorf("best against worst: %+v", g)
	}
	// Of the 56 pairs of two CPUs, 24 are near and 32 far.
	want := 1/math.Exp((24*math.Log(synthetic.PairNear)+32*math.Log(synthetic.PairFar))/56) - 1
	if s := p.Same[analysis.Server]; s == nil || s.Verdict != analysis.More || math.Abs(s.Value-want) > 0.02 {
		t.Errorf("one CPU against two: %+v, want %.3f", s, want)
	}
}

// TestPairsThatAreAlike must be told as no difference, whatever pair happens to be highest.
func TestPairsThatAreAlike(t *testing.T) {
	sizes := []int{2, 4, 8}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, cpus := range sizes {
		same, any := 0, 0
		for seed := range uint64(20) {
			r := analysis.Analyze(synthetic.Pairs(synthetic.Options{Seed: seed}, cpus, true), analysis.Options{})
			p := r.Experiments[0].Pairs[0]
			if s := p.Same[analysis.Server]; s == nil || s.Verdict != analysis.NoDifference {
				same++
			}
			if s := p.Spread[analysis.Server]; s == nil || s.Verdict != analysis.NoDifference {
				any++
			}
		}
		if same > 3 || any > 3 { // 5 % are expected
			t.Errorf("%d CPUs: of 20 studies of equal pairs %d claim a gain of one CPU over two, and %d a difference between pairs", cpus, same, any)
		}
	}
}
