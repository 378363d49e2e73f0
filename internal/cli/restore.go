package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

func newRestore() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put back what a killed run left changed",
		Long: `Put back every setting that a run changed and could not restore because it was
killed. Every stackmeter command does this first; this one does nothing else and
says what it found.`,
		Example: "  stackmeter restore\n  stackmeter restore --json | jq .failed",
		Args:    argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := recoverNow(c.Context())
			if asJSON {
				return errors.Join(err, writeJSON(c.OutOrStdout(), r))
			}
			tellRecovery(c.OutOrStdout(), r)
			if err == nil && len(r.Restored)+len(r.Killed) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nothing to put back")
			}
			for _, o := range r.InUse {
				fmt.Fprintf(c.OutOrStdout(), "process %d holds settings: it puts them back when it ends\n", o.Task.PID)
			}
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// recoverFirst runs before every command.
func recoverFirst(c *cobra.Command, _ []string) error {
	switch c.Name() {
	case "restore", "help", "completion", "bash", "zsh", "fish", "powershell", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return nil
	}
	r, err := recoverNow(c.Context())
	tellRecovery(c.ErrOrStderr(), r)
	return err
}

// recoverNow undoes what dead runs left, and waits for agents that are at it
// themselves because their controller was killed. The error, of exit code 3, has the
// commands for what could not be undone.
func recoverNow(ctx context.Context) (knob.Report, error) {
	root := host.Live()
	dir, err := knob.Dir(root)
	if err != nil {
		return knob.Report{}, usage(err)
	}
	var sum knob.Report
	deadline := time.Now().Add(agent.CloseTimeout)
	for {
		var r knob.Report
		r, err = knob.Recover(ctx, root, dir)
		sum.Restored = append(sum.Restored, r.Restored...)
		sum.Gone = append(sum.Gone, r.Gone...)
		sum.Foreign = append(sum.Foreign, r.Foreign...)
		sum.Killed = append(sum.Killed, r.Killed...)
		sum.Notes = append(sum.Notes, r.Notes...)
		sum.Failed, sum.InUse = r.Failed, r.InUse
		orphan := slices.ContainsFunc(r.InUse, func(o knob.Owner) bool { return agent.Orphaned(root, o.Task.PID) })
		if !orphan || err != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err = errors.Join(err, sum.Err()); err != nil {
		err = &exitError{exitNotRestored, fmt.Errorf("settings of a killed run are NOT restored:\n%w", err)}
	}
	return sum, err
}

func tellRecovery(w io.Writer, r knob.Report) {
	for _, c := range r.Restored {
		fmt.Fprintf(w, "put back after a killed run: %s of %s to %s\n", c.Name, c.Target, c.Old)
	}
	for _, c := range r.Foreign {
		fmt.Fprintf(w, "left as it is, somebody changed it since: %s of %s (was %s)\n", c.Name, c.Target, c.Old)
	}
	for _, t := range r.Killed {
		fmt.Fprintf(w, "ended a process that a killed run left: %d\n", t.PID)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w, strings.Join(r.Notes, "\n"))
	}
}
