package experiment

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// silent is a bench whose agent went away in the second trial.
type silent struct{ trials int }

func (s *silent) Trial(context.Context, Config, Timing) (trial.Trial, error) {
	if s.trials++; s.trials == 1 {
		return trial.Trial{Status: trial.OK}, nil
	}
	err := fmt.Errorf("far: %w", agent.ErrGone)
	return trial.Trial{Status: trial.Failed, Error: err.Error()}, err
}

// TestRunnerEndsWithoutAgent wants the failed trial on record and no other tried.
func TestRunnerEndsWithoutAgent(t *testing.T) {
	p, b := simple(3, 3), &silent{}
	var recs []trial.Trial
	r := Runner{
		Plan: p, Schedule: Schedule(p, 1), Bench: b,
		Record:   func(rec trial.Trial) error { recs = append(recs, rec); return nil },
		Progress: func(Progress) {},
	}
	if err := r.Run(t.Context()); !errors.Is(err, agent.ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	if b.trials != 2 || len(recs) != 2 || recs[1].Status != trial.Failed {
		t.Errorf("%d trials were tried, records %v; want 2, the second failed", b.trials, recs)
	}
}
