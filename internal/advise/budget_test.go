package advise

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestNothingToGainNeedsTrials wants no claim about remedies for which there were no trials, or too few.
func TestNothingToGainNeedsTrials(t *testing.T) {
	r := &Report{Untested: []Untested{{"net.core.rmem_max", beside["net.core.rmem_max"]}}}
	if !r.NothingToGain() || r.OutOfBudget() != 0 {
		t.Errorf("what can't bear on the load counts as untried: %d", r.OutOfBudget())
	}
	s := &session{report: r}
	s.untested([]Remedy{{Name: "gro=on"}, {Name: "rps=all"}}, "the budget has no trial for it: "+raiseBudget)
	if r.NothingToGain() || r.OutOfBudget() != 2 {
		t.Errorf("nothing to gain of %d remedies that were not tried", r.OutOfBudget())
	}
	if r := (&Report{Verdicts: []Verdict{{Word: NotKnown}}}); r.NothingToGain() {
		t.Error("nothing to gain of a remedy of which that is not known")
	}
}

// has says what the report holds of a remedy.
func has(r *Report, name string) (v Verdict, untested string) {
	for _, x := range r.Verdicts {
		if x.Name == name {
			v = x
		}
	}
	for _, u := range r.Untested {
		if u.What == name {
			untested = u.Why
		}
	}
	return v, untested
}

var remedyNames = []string{"gro=on", "net.ipv4.tcp_rmem=4096 131072 67108864", "net.ipv4.tcp_wmem=4096 65536 67108864", "rps=all", "rx-usecs=8", "qdisc=fq"}

// TestBudget wants an advice to end within its budget, but for one step that takes longer than those
// before; to say of every remedy what came of it or why it was not tried; to claim nothing beyond that; and to
// measure what mends the cause that is there wherever the budget has the trials for it.
func TestBudget(t *testing.T) {
	for _, x := range []struct {
		name string
		m    model
		need time.Duration // for the remedy of the cause to be measured
	}{
		{"steady", model{takes: time.Second}, 15 * time.Second},
		{"settings are slow", model{takes: time.Second, trying: 2 * time.Second}, 20 * time.Second},
		{"remedies slow trials down", model{takes: 500 * time.Millisecond, slower: 500 * time.Millisecond}, 20 * time.Second},
		{"the profile is slow", model{takes: time.Second, profiling: time.Minute}, 20 * time.Second},
		{"latency is slow", model{takes: 500 * time.Millisecond, asking: 5 * time.Second}, 13 * time.Second},
	} {
		for budget := 6 * time.Second; budget < time.Minute; budget += 1300 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				m := x.m
				m.rng, m.noise, m.groOff, m.gains = rand.New(rand.NewPCG(1, 3)), 0.03, true, map[string]float64{"gro": 0.5}
				r := m.advise(t, budget)
				if over := r.Seconds - budget.Seconds(); over > (m.takes + 6*m.slower + m.asking).Seconds() {
					t.Errorf("%s: took %.2f s of %v", x.name, r.Seconds, budget)
				}
				for _, name := range remedyNames {
					v, why := has(r, name)
					if (v.Word == "") == (why == "") {
						t.Errorf("%s, %v: %s: verdict %q, untested: %q", x.name, budget, name, v.Word, why)
					}
					if v.Word == Nothing && v.Alone == nil && len(r.Screened) == 0 {
						t.Errorf("%s, %v: %s: %s without a screening", x.name, budget, name, v.Word)
					}
				}
				if v, _ := has(r, "gro=on"); budget >= x.need && v.Word != Gained {
					t.Errorf("%s, %v: gro=on: %q (%s), notes %q", x.name, budget, v.Word, v.Text, r.Notes)
				}
			})
		}
	}
}

// TestUnfinishedScreening wants nothing told from a screening that the budget did not last for.
func TestUnfinishedScreening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{rng: rand.New(rand.NewPCG(1, 3)), noise: 0.03, takes: 100 * time.Millisecond, slower: 200 * time.Millisecond}
		r := m.advise(t, 5*time.Second)
		if r.NothingToGain() || len(r.Screened) > 0 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "screening") }) {
			t.Errorf("nothing to gain: %v; screened %v, notes %q, %d trials", r.NothingToGain(), r.Screened, r.Notes, r.Trials)
		}
		if n := r.OutOfBudget() + len(r.NotKnown()); n == 0 {
			t.Errorf("all is known of a screening that was not finished: %+v", r.Verdicts)
		}
	})
}

// TestSpoiltWithinBudget wants the remedy measured before the rig is compared with the unspoilt one, and
// the comparison made where there is time.
func TestSpoiltWithinBudget(t *testing.T) {
	for budget := 10 * time.Second; budget < time.Minute; budget += time.Second {
		synctest.Test(t, func(t *testing.T) {
			m := &model{rng: rand.New(rand.NewPCG(1, 3)), noise: 0.03, takes: 600 * time.Millisecond, groOff: true, gains: map[string]float64{"gro": 0.5}}
			o := m.options(budget)
			nothing := func(context.Context) error { return nil }
			o.Spoilt = &Spoilt{Cause: GROOff, Plant: nothing, Unplant: nothing}
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := has(r, "gro=on"); v.Word != Gained || r.Seconds > budget.Seconds()+m.takes.Seconds() {
				t.Errorf("%v: gro=on: %q after %.1f s (%s)", budget, v.Word, r.Seconds, v.Text)
			}
			if budget > 20*time.Second && r.Proof.Unspoilt == 0 {
				t.Errorf("%v: the unspoilt rig was not measured: %q", budget, r.Notes)
			}
		})
	}
}

// TestRemedyThatBreaks wants a remedy with which every trial fails called one that can't be had, for the
// reason that it has, and the others told all the same.
func TestRemedyThatBreaks(t *testing.T) {
	m := &model{rng: rand.New(rand.NewPCG(2, 3)), noise: 0.02, breaks: "rps", gains: map[string]float64{"gro": 0.3}}
	r := m.advise(t, time.Hour)
	if v, _ := has(r, "rps=all"); v.Word != Failed || !strings.Contains(v.Text, "no turn") {
		t.Errorf("rps: %q (%s)", v.Word, v.Text)
	}
	if len(r.Advice) != 1 || r.Advice[0].Name != "gro=on" {
		t.Errorf("advice %+v, want gro=on", r.Advice)
	}
	for _, s := range r.Screened {
		if s.Noise > 0.1 {
			t.Errorf("the noise of %s is %.2f of a bench with 0.02", s.Name, s.Noise)
		}
	}
}
