package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Measurer runs single trials; [Bench] does it on hosts.
type Measurer interface {
	Trial(ctx context.Context, c Config, t Timing) (trial.Trial, error)
}

// Runner runs a plan's trials in their order.
type Runner struct {
	Plan     *Plan
	Schedule []Planned
	Bench    Measurer
	// Earlier, where not nil, tells of a planned trial whether an earlier run of this plan
	// has measured it, and after how many attempts.
	Earlier func(experiment, cell string, replicate int) (done bool, attempts int)
	// Record takes every trial, also the failed and the repeated.
	Record func(trial.Trial) error
	// Progress is told before each trial and once at the end.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Done, Total int
	Now         string // experiment and cell that come next; empty at the end
	Left        time.Duration
	Repeats     int // attempts beyond the first so far
	Last        *trial.Trial
}

// overhead is what a trial takes beside ramp-up and window, before any was run.
const overhead = 400 * time.Millisecond

// Estimate is how long trials take on a quiet machine.
func (p *Plan) Estimate(trials int) time.Duration {
	return time.Duration(trials) * (p.Timing.RampUp + p.Timing.Window + p.Profile + overhead)
}

// Run returns when the last trial is recorded, ctx ends or nothing more can be
// measured. A cell that fails on every attempt is not tried in later replicates.
func (r *Runner) Run(ctx context.Context) error {
	state := Progress{Total: len(r.Schedule)}
	dead := map[string]error{}
	var spent time.Duration
	ran := 0
	for _, p := range r.Schedule {
		e := &r.Plan.Experiments[p.Experiment]
		key := p.Cell.Key()
		done, tried := false, 0
		if r.Earlier != nil {
			done, tried = r.Earlier(e.Name, key, p.Replicate)
		}
		if done || dead[e.Name+"/"+key] != nil {
			state.Done++
			continue
		}
		state.Now = fmt.Sprintf("%s %s", e.Name, key)
		perTrial := r.Plan.Estimate(1)
		if ran > 0 {
			perTrial = spent / time.Duration(ran)
		}
		state.Left = perTrial * time.Duration(state.Total-state.Done)
		r.Progress(state)
		began := time.Now()
		last, repeats, err := r.attempts(ctx, e, p, tried)
		if err != nil {
			return err
		}
		if last.Status == trial.Failed {
			dead[e.Name+"/"+key] = errors.New(last.Error)
		}
		spent += time.Since(began)
		ran++
		state.Done++
		state.Repeats += repeats
		state.Last = &last
	}
	state.Now, state.Left = "", 0
	r.Progress(state)
	return deadError(dead)
}

// deadError tells of the cells that could not be measured.
func deadError(dead map[string]error) error {
	var errs []error
	for _, cell := range slices.Sorted(maps.Keys(dead)) {
		errs = append(errs, fmt.Errorf("%s: %w", cell, dead[cell]))
	}
	return errors.Join(errs...)
}

// attempts runs one trial until it is undisturbed or the attempts are used up;
// tried ones of an earlier run number on. The error means that nothing more can be measured.
func (r *Runner) attempts(ctx context.Context, e *Experiment, p Planned, tried int) (rec trial.Trial, repeats int, err error) {
	c, err := p.Cell.Config(r.Plan.Defaults)
	if err != nil {
		return rec, 0, err
	}
	for attempt := 1; ; attempt++ {
		var failure error
		rec, failure = r.Bench.Trial(ctx, c, r.Plan.Timing)
		if ctx.Err() != nil {
			return rec, attempt - 1, context.Cause(ctx) // half a trial is none
		}
		rec.Experiment, rec.Levels = e.Name, p.Cell
		rec.Replicate, rec.Order, rec.Attempt = p.Replicate, p.Order, tried+attempt
		rec.ID = fmt.Sprintf("%s.%d.%d", e.Name, p.Order, rec.Attempt)
		if failure == nil {
			r.judge(&rec, attempt)
		}
		if err := r.Record(rec); err != nil {
			return rec, attempt - 1, fmt.Errorf("record trial %s: %w", rec.ID, err)
		}
		if errors.Is(failure, agent.ErrGone) {
			return rec, attempt - 1, failure
		}
		if rec.Status == trial.OK || attempt >= r.Plan.MaxAttempts {
			return rec, attempt - 1, nil
		}
	}
}

// judge marks a disturbed trial. The last attempt counts, with a warning: a
// machine that is never quiet still gets an answer, and the answer says so.
func (r *Runner) judge(rec *trial.Trial, attempt int) {
	why, bad := disturbed(rec.CPU, r.Plan.StrangerLimit)
	if !bad {
		return
	}
	rec.Warnings = append(rec.Warnings, trial.Warning{Code: "contaminated", Text: why})
	if attempt < r.Plan.MaxAttempts {
		rec.Status = trial.Contaminated
	}
}
