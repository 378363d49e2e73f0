package advise

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// prove measures, interleaved, the rig unspoilt, spoilt, and spoilt with the first advice.
func (s *session) prove() error {
	if s.Spoilt == nil {
		return nil
	}
	p := &Proof{Kind: s.Spoilt.Kind, Planted: s.Spoilt.Words, Cause: s.Spoilt.Cause, Removable: s.Spoilt.Removable}
	s.report.Proof = p
	p.NamedLead = len(s.report.Causes) > 0 && s.report.Causes[0].Name == p.Cause
	var advised experiment.Levels
	if len(s.report.Advice) > 0 {
		advised, p.Remedy = s.report.Advice[0].Levels, s.report.Advice[0].Name
	}
	var spoilt, with, unspoilt []trial.Trial
rounds:
	for round := range proofRounds {
		if round > 0 {
			if err := s.Spoilt.Plant(s.ctx); err != nil {
				return err
			}
		}
		// The rig as found comes last before it is mended from outside: by then the agents have put back
		// what the advice changed.
		for _, x := range []struct {
			cell experiment.Levels
			to   *[]trial.Trial
		}{{advised, &with}, {nil, &spoilt}, {nil, &unspoilt}} {
			if x.to == &with && advised == nil {
				continue
			}
			if x.to == &unspoilt {
				if err := s.Spoilt.Unplant(s.ctx); err != nil {
					return err
				}
			}
			stage := map[*[]trial.Trial]string{&with: "proof-advised", &spoilt: "proof-spoilt", &unspoilt: "proof-unspoilt"}[x.to]
			t, err := s.step(stage, x.cell, round+1, round, proofRounds)
			if errors.Is(err, errBudget) {
				s.report.Notes = append(s.report.Notes, fmt.Sprintf("the budget ended in round %d of %d of the comparison with the unspoilt rig: raise --budget", round+1, proofRounds))
				break rounds
			}
			if err != nil {
				return err
			}
			*x.to = append(*x.to, t)
		}
	}
	p.Unspoilt, p.Spoilt, p.Advised = medianOf(values(unspoilt, throughput)), medianOf(values(spoilt, throughput)), medianOf(values(with, throughput))
	if p.Unspoilt > 0 && p.Spoilt > 0 {
		p.Loss = 1 - p.Spoilt/p.Unspoilt
	}
	if p.Advised > 0 && p.Unspoilt > p.Spoilt {
		p.Recovery = (p.Advised - p.Spoilt) / (p.Unspoilt - p.Spoilt)
	}
	return nil
}

// proofTrials is how many trials the proof has.
func (s *session) proofTrials() int {
	if s.Spoilt == nil {
		return 0
	}
	return proofRounds * proofTrials
}

// shuffled is an order of n things drawn from the seed.
func shuffled(n int, seed uint64) []int { return rand.New(rand.NewPCG(seed, 7)).Perm(n) }
