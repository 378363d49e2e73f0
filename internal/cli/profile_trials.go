package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// trialProfiles profiles the trials of a plan that wants it.
type trialProfiles struct {
	plan *experiment.Plan
	last *profile.Profile // of the trial that was run last; nil: none
	err  error            // why there is none
}

// profileOpening is what loading and switching the programs takes beside the slices, at
// most.
const profileOpening = 10 * time.Second

// newTrialProfiles has the bench profile each trial after its window, while its load
// still runs: the window itself stays as it would be without.
func newTrialProfiles(plan *experiment.Plan, bench *experiment.Bench) *trialProfiles {
	t := &trialProfiles{plan: plan}
	if plan.Profile > 0 {
		bench.Loaded, bench.LoadedFor = t.run, 2*plan.Profile+profileOpening
	}
	return t
}

// run fails only where the study is interrupted: a trial whose window was measured counts
// without a profile too.
func (t *trialProfiles) run(ctx context.Context, agents []int) error {
	t.last, t.err = profile.Run(ctx, profile.Options{Duration: t.plan.Profile, PIDs: agents[:1], Load: agents})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// keep writes the profile of a trial that counts; one that failed is warned of in the
// record.
func (t *trialProfiles) keep(dir string, rec *trial.Trial) error {
	p := t.last
	if t.err != nil {
		rec.Warnings = append(rec.Warnings, trial.Warning{Code: "not-profiled", Text: "profile: " + t.err.Error()})
	}
	t.last, t.err = nil, nil
	if p == nil || rec.Status != trial.OK {
		return nil
	}
	p.Trial, p.Levels = rec.ID, maps.Clone(t.plan.Defaults)
	maps.Copy(p.Levels, rec.Levels)
	p.Load = fmt.Sprintf("trial %s: %s", rec.ID, trial.Cell(rec.Levels))
	return report.WriteTrialProfile(dir, p)
}

// tellProfiles prints what affinity changed in the profiles of a study's trials, where
// there are any.
func tellProfiles(w io.Writer, d *result.Dir) error {
	pairs, err := report.ProfilePairs(d)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range pairs {
		diff, err := profile.Compare(p.Before, p.After)
		if err != nil { // as where a user without rights has profiled
			_, printErr := fmt.Fprintf(w, "\nprofiles of %s: %v\n", p.Names.Before, err)
			errs = append(errs, printErr)
			continue
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		errs = append(errs, report.ProfileDiffText(w, diff, p.Names, textOptions(w)))
	}
	return errors.Join(errs...)
}
