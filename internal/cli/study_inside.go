package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/stacklab"
)

// insideTime is what a look inside the stack takes, roughly, in words.
const insideTime = "about 12 s"

// lookInside looks into a running stack after the trials, where the plan asks for it and an
// earlier run has not: a part of the result that needs no trial.
func (s *studyRun) lookInside(ctx context.Context) error {
	if !s.plan.InsideStack || ctx.Err() != nil {
		return nil
	}
	if _, err := report.ReadStack(s.writer.Path()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer s.progress.End()
	// One replicate is a trial of the plan, not a measurement.
	r, err := stacklab.Run(ctx, stacklab.Config{Quick: s.plan.Replicates == 1}, func(done, total int, what string) {
		s.progress.Step(done, total, "inside the stack: "+what, 0)
	})
	if err != nil {
		return fmt.Errorf("look inside the stack: %w", err)
	}
	return report.WriteStack(s.writer.Path(), r)
}
