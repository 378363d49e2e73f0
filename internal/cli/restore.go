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
	var asJSON, forget bool
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put back what a killed run left changed",
		Long: `Put back every setting that a run changed and could not restore because it was
killed. Every stackmeter command does this first, but for those that only look at
settings (topo; tune list, show, diff and save; --dry-run and --emit), which say that
there is something. This one does nothing else and says what it found.

What can't be put back, such as a value that the driver refuses by now, is tried again by each
command; those that measure or change settings refuse until it is. --forget gives it up.`,
		Example: "  stackmeter restore\n  stackmeter restore --json | jq .failed\n  stackmeter restore --forget",
		Args:    argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := recoverNow(c.Context(), forget)
			err = notRestored(r, err)
			if asJSON {
				return errors.Join(err, writeJSON(c.OutOrStdout(), r))
			}
			tellRecovery(c.OutOrStdout(), r)
			tellGivenUp(c.OutOrStdout(), r)
			if err == nil && len(r.Restored)+len(r.Killed)+len(r.GivenUp) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nothing to put back")
			}
			for _, o := range r.InUse {
				fmt.Fprintf(c.OutOrStdout(), "process %d holds settings: it puts them back when it ends\n", o.Task.PID)
			}
			return err
		},
	}
	forgetFlag(c, &forget)
	jsonFlag(c, &asJSON)
	return c
}

func forgetFlag(c *cobra.Command, forget *bool) {
	c.Flags().BoolVar(forget, "forget", false, "give up what can't be put back: print it, with the command that does it by hand, and try no more")
}

// settled is what a command does about settings that killed runs left.
type settled int

const (
	must   settled = iota // put them back, or refuse
	tries                 // put them back, or warn: nothing that it does depends on them
	looks                 // touch nothing, and warn
	itself                // the command is about them
)

func settles(c *cobra.Command) settled {
	switch strings.TrimPrefix(c.CommandPath(), "stackmeter ") {
	case "restore", "tune restore", "help", "completion bash", "completion zsh", "completion fish", "completion powershell",
		cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return itself
	case "topo", "tune list", "tune show", "tune diff", "tune save":
		return looks
	case "stackmeter", "report", "export", "version", "keys", "keys new", "keys authority", "keys issue",
		"profile show", "profile diff", "tune", "stack":
		return tries
	}
	for _, flag := range []string{"dry-run", "emit", "list"} {
		if f := c.Flags().Lookup(flag); f != nil && f.Changed && f.Value.String() != "false" {
			return looks
		}
	}
	return must
}

// recoverFirst runs before every command.
func recoverFirst(c *cobra.Command, _ []string) error {
	warn := func(format string, args ...any) { fmt.Fprintf(c.ErrOrStderr(), "warning: "+format+"\n", args...) }
	how := settles(c)
	switch how {
	case itself:
		return nil
	case looks:
		n, err := pending()
		if err != nil {
			warn("what killed runs left changed is not known: %v", err)
		} else if n > 0 {
			warn("a killed run left %d changes in force; `stackmeter restore` puts them back", n)
		}
		return nil
	}
	r, err := recoverNow(c.Context(), false)
	tellRecovery(c.ErrOrStderr(), r)
	if how == must {
		return notRestored(r, err)
	}
	if err != nil {
		warn("%v", err)
	}
	if n := len(r.Failed); n > 0 {
		warn("%d settings of a killed run can't be put back: `stackmeter restore` tells why, with --forget it gives them up", n)
	}
	return nil
}

// pending is how much dead runs left.
func pending() (int, error) {
	root := host.Live()
	dir, err := knob.Dir(root)
	if err != nil {
		return 0, err
	}
	return knob.Pending(root, dir)
}

// recoverNow undoes what dead runs left, and waits for agents that are at it
// themselves because their controller was killed. What can't be undone is no error but in the
// report, see notRestored; forget gives it up.
func recoverNow(ctx context.Context, forget bool) (knob.Report, error) {
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
		sum = both(sum, r)
		sum.Failed, sum.InUse = r.Failed, r.InUse
		orphan := slices.ContainsFunc(r.InUse, func(o knob.Owner) bool { return agent.Orphaned(root, o.Task.PID) })
		if !orphan || err != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if forget {
		err = errors.Join(err, giveUp(&sum))
	}
	return sum, err
}

// both is what two restorations came to.
func both(a, b knob.Report) knob.Report {
	return knob.Report{
		Restored: append(a.Restored, b.Restored...),
		Gone:     append(a.Gone, b.Gone...),
		Foreign:  append(a.Foreign, b.Foreign...),
		Killed:   append(a.Killed, b.Killed...),
		Failed:   append(a.Failed, b.Failed...),
		GivenUp:  append(a.GivenUp, b.GivenUp...),
		InUse:    append(a.InUse, b.InUse...),
		Notes:    append(a.Notes, b.Notes...),
	}
}

// giveUp forgets what failed.
func giveUp(r *knob.Report) error {
	if err := knob.Forget(r.Failed); err != nil {
		return err
	}
	r.GivenUp, r.Failed = append(r.GivenUp, r.Failed...), nil
	return nil
}

// notRestored is the error, of exit code 3, for what a recovery could not undo, with the
// commands that do it by hand.
func notRestored(r knob.Report, err error) error {
	if len(r.Failed) == 0 && (err == nil || errors.As(err, new(*exitError))) {
		return err
	}
	err = errors.Join(err, r.Err())
	hint := ""
	if len(r.Failed) > 0 {
		hint = "\n`stackmeter restore --forget` gives up what can't be put back"
	}
	return &exitError{exitNotRestored, fmt.Errorf("settings of a killed run are NOT restored:\n%w%s", err, hint)}
}

func tellGivenUp(w io.Writer, r knob.Report) {
	for _, f := range r.GivenUp {
		fmt.Fprintf(w, "given up: %s of %s is not put back to %s: %s\n", f.Name, f.Target, shown(f.Old), f.Error)
		if f.Command != "" {
			fmt.Fprintf(w, "  by hand: %s\n", f.Command)
		}
	}
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
