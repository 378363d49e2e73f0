package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// difference is a value that is not as wanted, for JSON.
type difference struct {
	Name   string     `json:"name"`
	Scope  tune.Scope `json:"scope"`
	Target string     `json:"target"`
	Want   string     `json:"want"`
	Now    string     `json:"now,omitempty"`
	Later  bool       `json:"later,omitempty"` // its queues or threads are made by another setting of the profile
	Error  string     `json:"error,omitempty"` // why it can't be had
}

func differences(plan []tune.Want) []difference {
	out := []difference{}
	for _, s := range tune.States(plan) {
		if s.Err == nil && !s.Differs() {
			continue
		}
		d := difference{Name: s.Item.Name, Scope: s.Item.Scope, Target: s.Item.Target, Want: s.Value, Now: s.Now, Later: s.Later}
		if s.Err != nil {
			d.Error = s.Err.Error()
		}
		out = append(out, d)
	}
	return out
}

func tellDifferences(w io.Writer, plan []tune.Want, asJSON bool) error {
	ds := differences(plan)
	if asJSON {
		return writeJSON(w, ds)
	}
	for _, d := range ds {
		switch {
		case d.Error != "":
			fmt.Fprintf(w, "%s of %s: want %s: %s\n", d.Name, d.Target, d.Want, d.Error)
		case d.Later:
			fmt.Fprintf(w, "%s of %s: want %s (on queues or threads that are yet to be made)\n", d.Name, d.Target, d.Want)
		default:
			fmt.Fprintf(w, "%s of %s: %s -> %s\n", d.Name, d.Target, shown(d.Now), d.Want)
		}
	}
	if len(ds) == 0 {
		fmt.Fprintln(w, "equal")
	}
	return nil
}

// errDiffer is the answer of diff that scripts look for; it has been told.
var errDiffer = &exitError{exitFailed, errSaid}

func newTuneDiff() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:     "diff PROFILE",
		Short:   "Tell where the machine is not as a profile says",
		Long:    "Tell where the machine is not as a profile says. Nothing is changed. Exit code 0: equal; 1: not.",
		Example: "  stackmeter tune diff lab.yaml --nic eth1 && echo equal",
		Args:    argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			f.force = true // it only looks
			_, plan, _, err := f.plan(args[0])
			if err != nil {
				return asUsage(err)
			}
			if err := tellDifferences(c.OutOrStdout(), plan, f.json); err != nil {
				return err
			}
			if len(differences(plan)) > 0 {
				return errDiffer
			}
			return nil
		},
	}
	f.register(c.Flags())
	jsonFlag(c, &f.json)
	return c
}

func newTuneSave() *cobra.Command {
	var h handed
	var output, name, about string
	c := &cobra.Command{
		Use:   "save",
		Short: "Write the values in force as a profile",
		Long: `Write the values in force of the machine and of what was handed over as a profile that
` + "`stackmeter tune apply`" + ` takes. What this machine can't have, and what no value of a profile
stands for, is left out and told. An existing file is not overwritten.`,
		Example: "  stackmeter tune save --nic eth1 --name before -o before.yaml",
		Args:    argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := h.machine(true)
			if err != nil {
				return err
			}
			p, left := m.Save(name, about)
			text := p.Format()
			if output == "" {
				_, err = c.OutOrStdout().Write(text)
			} else {
				err = writeNew(output, text)
			}
			lacking := 0
			for _, r := range left {
				if host.IsNotSupported(r.Err) {
					lacking++
					continue
				}
				fmt.Fprintf(c.ErrOrStderr(), "left out: %s of %s: %v\n", r.Name, r.Target, r.Err)
			}
			if lacking > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "left out: %d that this machine can't have; `stackmeter tune show --all` tells why\n", lacking)
			}
			return err
		},
	}
	h.register(c.Flags())
	fl := c.Flags()
	fl.StringVarP(&output, "output", "o", "", "the `FILE` that is written (default: standard output)")
	fl.StringVar(&name, "name", "", "name of the profile")
	fl.StringVar(&about, "about", "", "what it is for")
	return c
}

func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usage(fmt.Errorf("--output: %w", err))
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
