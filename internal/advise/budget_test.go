package advise

import "testing"

// TestNothingToGainNeedsTrials wants no claim about remedies for which there were no trials.
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
}
