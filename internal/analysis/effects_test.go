package analysis

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func stackEffects(t *testing.T, trials []trial.Trial) *Effects {
	t.Helper()
	r := Analyze(trials, Options{Plan: ReadPlan(json.RawMessage(synthetic.StackPlan)), Seed: 1})
	if _, err := json.Marshal(r); err != nil {
		t.Fatalf("not JSON-able: %v", err)
	}
	x := r.experiment(t, "techniques").Effects
	if x == nil || len(x.Main) != 6 || len(x.Interactions) != 15 || !x.Half {
		t.Fatalf("effects of six factors in half of the cells: %+v", x)
	}
	return x
}

// The effects that were put in come out within their intervals, from half of the cells;
// what is worth nothing is not claimed to be worth something.
func TestEffectsThatWerePutIn(t *testing.T) {
	x := stackEffects(t, synthetic.Stack(synthetic.Options{Seed: 3, Noise: 0.02}))
	for i, f := range synthetic.StackFactors {
		w := x.Main[i].By[Server]
		if x.Main[i].Factors[0] != f.Name || w == nil || w.N != 6 || math.Abs(w.Value-f.Gain) > 0.03*(1+f.Gain) {
			t.Errorf("%v: %+v, want %v", x.Main[i].Factors, w, f.Gain)
			continue
		}
		want := map[bool]Verdict{true: More, false: Less}[f.Gain > 0]
		if f.Gain == 0 {
			want = NoDifference
		}
		if w.Verdict != want {
			t.Errorf("%s: %q %+v, want %q", f.Name, w.Verdict, w.Estimate, want)
		}
	}
	claimed := 0
	for _, e := range x.Interactions {
		w := e.By[Server]
		if slices.Equal(e.Factors, []string{"stack_gather", "stack_buffers"}) {
			want := math.Pow(1+synthetic.StackTogether/2, 2) - 1
			if w.Verdict != More || math.Abs(w.Value-want) > 0.05 {
				t.Errorf("gather and buffers together: %+v, want %v", w, want)
			}
			if len(e.Given) != 2 || e.Given[0].Factor != "stack_gather" || e.Given[0].Other.Name != "stack_buffers" {
				t.Fatalf("given: %+v", e.Given)
			}
			for _, g := range e.Given {
				both := map[string]float64{"stack_gather": 1.8, "stack_buffers": 1.5}[g.Factor]
				half := math.Sqrt(1 + want)
				if without, with := g.Without[Server], g.With[Server]; math.Abs(without.Value-(both/half-1)) > 0.05 || math.Abs(with.Value-(both*half-1)) > 0.05 {
					t.Errorf("%s with %s %s: %+v, with %s: %+v", g.Factor, g.Other.Name, g.Other.Without, without, g.Other.With, with)
				}
			}
			continue
		}
		if math.Abs(w.Value) > 0.05 {
			t.Errorf("%v: %+v, want nothing", e.Factors, w)
		}
		if w.Verdict == More || w.Verdict == Less {
			claimed++
		}
	}
	if claimed > 3 { // of 14, at 97 %
		t.Errorf("%d interactions of noise are claimed", claimed)
	}
	all := 1.0
	for _, f := range synthetic.StackFactors {
		all *= 1 + f.Gain
	}
	if x.Together == nil || math.Abs(x.Together.Gains[Server].Unpaired.Value-(all-1)) > 0.1*all {
		t.Errorf("all together: %+v, want %v", x.Together, all-1)
	}
}

// The sign of an effect follows the plan's baseline, not the order of the levels.
func TestEffectsAreAgainstTheBaseline(t *testing.T) {
	p := ReadPlan(json.RawMessage(synthetic.StackPlan))
	p.Experiments[0].Baseline = map[string]string{"stack_gather": "64"}
	x := Analyze(synthetic.Stack(synthetic.Options{}), Options{Plan: p}).experiment(t, "techniques").Effects
	if w := x.Main[0].By[Server]; math.Abs(w.Value-(1/1.8-1)) > 0.03 {
		t.Errorf("of 1 against 64: %+v", w)
	}
}

// Gaps leave their blocks out, as far as these can't tell the effects apart; a cell that
// was never measured leaves nothing wrong.
func TestEffectsWithGaps(t *testing.T) {
	trials := synthetic.Stack(synthetic.Options{Replicates: 8})
	gaps := slices.DeleteFunc(slices.Clone(trials), func(x trial.Trial) bool { return x.Replicate == 8 && x.Levels["stack_gather"] == "64" })
	x := stackEffects(t, gaps)
	if w := x.Main[0].By[Server]; w.N != 7 || math.Abs(w.Value-0.8) > 0.05 {
		t.Errorf("with a block of half its cells: %+v", w)
	}
	never := slices.DeleteFunc(slices.Clone(trials), func(x trial.Trial) bool {
		return x.Levels["stack_gather"] == "64" && x.Levels["stack_copy"] == "best" && x.Levels["stack_align"] == "off"
	})
	x = stackEffects(t, never)
	if w := x.Main[0].By[Server]; w == nil || w.N != 8 || math.Abs(w.Value-0.8) > 0.05 {
		t.Errorf("without four cells: %+v", w)
	}
	one := slices.DeleteFunc(slices.Clone(trials), func(x trial.Trial) bool { return x.Replicate > 1 })
	if w := stackEffects(t, one).Main[0].By[Server]; w.Verdict != TooFew {
		t.Errorf("of one replicate: %+v", w)
	}
	none := slices.DeleteFunc(slices.Clone(trials), func(x trial.Trial) bool { return x.Levels["stack_gather"] == "64" })
	if w := stackEffects(t, none).Main[0].By[Server]; w != nil {
		t.Errorf("of a level that was never measured: %+v", w)
	}
}
