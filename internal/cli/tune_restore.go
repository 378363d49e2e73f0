package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

func newTuneRestore() *cobra.Command {
	var last, forget, asJSON bool
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put back what tune set",
		Long: `Put back what ` + "`tune set` and `tune apply`" + ` set, latest first: each value that is still
as it was set gets the one of before. One that somebody has changed since is left as it is, and told. What
killed runs left is put back first, as by ` + "`stackmeter restore`" + `.

What can't be put back is told with the command that does it by hand, the rest is put back all the
same, and the next restore tries it again. --forget gives it up.`,
		Example: "  stackmeter tune restore\n  stackmeter tune restore --last\n  stackmeter tune restore --forget",
		Args:    argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			before, err := recoverNow(c.Context(), forget)
			err = notRestored(before, err)
			r, keptErr := restoreKept(c.Context(), c, last, forget)
			err = errors.Join(err, keptErr)
			if asJSON {
				return errors.Join(err, writeJSON(c.OutOrStdout(), both(before, r)))
			}
			tellRecovery(c.ErrOrStderr(), before)
			out := c.OutOrStdout()
			for _, x := range r.Restored {
				fmt.Fprintf(out, "%s of %s: %s -> %s\n", x.Name, x.Target, shown(x.New), shown(x.Old))
			}
			for _, x := range r.Foreign {
				fmt.Fprintf(out, "left as it is, somebody changed it since: %s of %s (was %s)\n", x.Name, x.Target, shown(x.Old))
			}
			for _, x := range r.Gone {
				fmt.Fprintf(out, "gone: %s of %s\n", x.Name, x.Target)
			}
			for _, n := range r.Notes {
				fmt.Fprintln(c.ErrOrStderr(), n)
			}
			tellGivenUp(out, both(before, r))
			if len(r.Restored)+len(r.Foreign)+len(r.Gone)+len(r.Failed)+len(r.GivenUp) == 0 {
				fmt.Fprintln(out, "nothing to put back")
			}
			return err
		},
	}
	forgetFlag(c, &forget)
	c.Flags().BoolVar(&last, "last", false, "only what the last set or apply did")
	jsonFlag(c, &asJSON)
	return c
}

// restoreKept undoes kept journals, latest first.
func restoreKept(ctx context.Context, c *cobra.Command, last, forget bool) (knob.Report, error) {
	var sum knob.Report
	root := host.Live()
	dir, err := knob.Dir(root)
	if err != nil {
		return sum, usage(err)
	}
	release, err := knob.Exclusive(ctx, dir, func(pid int) {
		fmt.Fprintf(c.ErrOrStderr(), "waiting for process %d, which measures or changes settings\n", pid)
	})
	if err != nil {
		return sum, err
	}
	defer release()
	all, err := knob.KeptIn(dir)
	if last && len(all) > 1 {
		all = all[len(all)-1:]
	}
	var errs []error
	for n := len(all) - 1; n >= 0 && ctx.Err() == nil; n-- {
		r, err := knob.Undo(root, all[n])
		sum = both(sum, r)
		errs = append(errs, err)
	}
	if forget {
		err = errors.Join(err, giveUp(&sum))
	}
	if err := errors.Join(append(errs, err, sum.Err(), ctx.Err())...); err != nil {
		hint := ""
		if len(sum.Failed) > 0 {
			hint = "\n`stackmeter tune restore --forget` gives up what can't be put back"
		}
		return sum, &exitError{exitNotRestored, fmt.Errorf("settings are NOT put back:\n%w%s", err, hint)}
	}
	return sum, nil
}
