package advise

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// trial runs one trial of a stage and gives the last attempt at it.
func (s *session) trial(stage string, cell experiment.Levels, replicate, total int) (trial.Trial, error) {
	return s.step(stage, cell, replicate, replicate-1, total)
}

func (s *session) step(stage string, cell experiment.Levels, replicate, done, total int) (last trial.Trial, err error) {
	if s.left() < 1 {
		return last, errBudget
	}
	s.progress(done, total, stage)
	s.order++
	plan := s.plan
	if plan.MaxAttempts = s.attempts; s.left() < s.attempts {
		plan.MaxAttempts = 1
	}
	plan.Experiments = []experiment.Experiment{{Name: stage}}
	if cell == nil {
		cell = experiment.Levels{}
	}
	began := time.Now()
	r := experiment.Runner{
		Plan: &plan, Bench: s.Bench, Progress: func(experiment.Progress) {},
		Schedule: []experiment.Planned{{Cell: cell, Replicate: replicate, Order: s.order}},
		Earlier:  func(string, string, int) (bool, int) { return false, last.Attempt },
		Record: func(t trial.Trial) error {
			last = t
			s.report.Trials++
			return s.Record(t)
		},
	}
	// What fails once may be the machine's being busy: a flow that had no turn before the window.
	for try := 0; try == 0 || try < mostFailures && last.Status == trial.Failed && !errors.Is(err, agent.ErrGone) && s.left() > 0; try++ {
		if err = r.Run(s.ctx); s.ctx.Err() != nil {
			return last, context.Cause(s.ctx)
		}
	}
	if took := time.Since(began) * 11 / 10; s.order == 1 {
		s.each = took
	} else if last.Attempt == 1 {
		s.each = max(s.each, took)
	}
	if err != nil && last.Status == trial.Failed && len(cell) > 0 && !errors.Is(err, agent.ErrGone) {
		err = nil // the cell can't be had here, which its verdict says
	}
	return last, err
}

// keep records a trial that no runner ran.
func (s *session) keep(t trial.Trial, stage string, cell experiment.Levels, replicate int) error {
	s.order++
	t.Experiment, t.Levels, t.Replicate, t.Order, t.Attempt = stage, cell, replicate, s.order, 1
	t.ID = fmt.Sprintf("%s.%d.1", stage, s.order)
	s.report.Trials++
	return s.Record(t)
}

func (s *session) progress(done, total int, what string) {
	if s.Progress != nil {
		s.Progress(done, total, what)
	}
}

// left is how many trials fit into what is left of the budget, without those that are kept for the proof.
func (s *session) left() int { return int(time.Until(s.deadline)/s.each) - s.reserve }

// untested says of remedies that they were not tried.
func (s *session) untested(rs []Remedy, why string) {
	for _, r := range rs {
		s.report.Untested = append(s.report.Untested, Untested{r.Name, why})
	}
}

// possible leaves out the remedies whose settings can't be had here, each tried alone, as long as that leaves
// the trials that one takes.
func (s *session) possible(remedies []Remedy) (out []Remedy, err error) {
	var took time.Duration // at most
	for i, r := range remedies {
		if time.Until(s.deadline)-took < 2*fewest*s.each {
			s.untested(remedies[i:], "the budget has no time for it: "+raiseBudget)
			break
		}
		s.progress(i, len(remedies), "which remedies can be had")
		began := time.Now()
		c, err := r.Levels.Config(s.plan.Defaults)
		if err == nil {
			err = s.Bench.Try(s.ctx, c)
		}
		took = max(took, time.Since(began))
		if s.ctx.Err() != nil {
			return nil, context.Cause(s.ctx)
		}
		if err != nil {
			s.report.Verdicts = append(s.report.Verdicts, Verdict{Remedy: r, Word: Failed, Text: err.Error()})
			continue
		}
		out = append(out, r)
	}
	return out, nil
}
