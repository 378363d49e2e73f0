package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/tune"
)

type applyFlags struct {
	handed
	dryRun, skip, json bool
	emit, output       string
}

func newTuneApply() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:   "apply PROFILE",
		Short: "Make the machine as a profile says: all of it, or nothing",
		Long: `Make what was handed over as a profile says: all of it, or nothing. Each value is
written to a journal before it is set, and read back after. If one can't be had
everything is put back; if this command is killed the next one does that.

With --emit nothing is changed: commands for a machine without stackmeter are printed. sh
is a script, systemd a unit that sets the values at boot and, when stopped, the present ones,
tuned a directory with a profile of tuned. They hold what this machine makes of the
profile; none of them verifies.`,
		Example: `  stackmeter tune apply lab.yaml --nic eth1,eth2
  stackmeter tune apply lab.yaml --nic eth1 --dry-run
  stackmeter tune apply lab.yaml --nic eth1 --emit systemd -o lab.service
  stackmeter tune apply lab.yaml --nic eth1 --emit tuned -o /etc/tuned/lab`,
		Args: argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			m, plan, name, err := f.plan(args[0])
			if err != nil {
				return asUsage(err)
			}
			return f.apply(c, m, name, plan)
		},
	}
	f.register(c.Flags())
	f.registerForce(c.Flags())
	fl := c.Flags()
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be changed, and change nothing")
	fl.BoolVar(&f.skip, "skip-unsupported", false, "leave out what this machine can't have, and say so")
	fl.StringVar(&f.emit, "emit", "", "change nothing, print it as `FORM` sh, systemd or tuned")
	fl.StringVarP(&f.output, "output", "o", "", "with --emit: the `FILE`, for tuned the directory, that is written")
	jsonFlag(c, &f.json)
	return c
}

// plan reads a profile and finds what it means for what was handed over. The profile is
// checked first: its faults are told whatever the flags are.
func (f *applyFlags) plan(path string) (*tune.Machine, []tune.Want, string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, "", usage(fmt.Errorf("profile: %w", err))
	}
	p, err := tune.ParseProfile(b)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%s: %w", path, err)
	}
	m, err := f.machine(f.force || f.dryRun || f.emit != "")
	if err != nil {
		return nil, nil, "", err
	}
	plan, err := m.Plan(p)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%s: %w", path, err)
	}
	name := p.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	return m, plan, name, nil
}

func (f *applyFlags) apply(c *cobra.Command, m *tune.Machine, name string, plan []tune.Want) error {
	rest, skipped, err := tune.Possible(plan, f.skip)
	if err != nil {
		return usage(fmt.Errorf("nothing is changed:\n%w", err))
	}
	for _, s := range skipped {
		fmt.Fprintln(c.ErrOrStderr(), "left out:", s)
	}
	switch {
	case f.emit != "":
		return f.write(c.OutOrStdout(), name, rest)
	case f.output != "":
		return usage(errors.New("--output: goes with --emit"))
	case f.dryRun:
		return tellDifferences(c.OutOrStdout(), rest, f.json)
	}
	return commitPlan(c.Context(), c, m, name, rest, f.skip, f.json)
}

// write emits a plan.
func (f *applyFlags) write(w io.Writer, name string, plan []tune.Want) error {
	var text string
	var err error
	mode := os.FileMode(0o644)
	switch f.emit {
	case "sh":
		text, err = tune.Script(name, plan)
		mode = 0o755
	case "systemd":
		text, err = tune.Unit(name, plan)
	case "tuned":
		return f.writeTuned(name, plan)
	default:
		err = usage(fmt.Errorf("--emit %q: known are sh, systemd, tuned", f.emit))
	}
	if err != nil {
		return asUsage(err)
	}
	if f.output == "" {
		_, err = io.WriteString(w, text)
		return err
	}
	return os.WriteFile(f.output, []byte(text), mode)
}

func (f *applyFlags) writeTuned(name string, plan []tune.Want) error {
	if f.output == "" {
		return usage(errors.New("--emit tuned: a profile of tuned is a directory; name it with --output, e.g. /etc/tuned/" + name))
	}
	conf, script, err := tune.Tuned(name, plan)
	if err != nil {
		return asUsage(err)
	}
	if err := os.MkdirAll(f.output, 0o755); err != nil {
		return usage(fmt.Errorf("--output: %w", err))
	}
	err = os.WriteFile(filepath.Join(f.output, "tuned.conf"), []byte(conf), 0o644)
	if script != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(f.output, "script.sh"), []byte(script), 0o755))
	}
	return err
}

func newTuneSet() *cobra.Command {
	f := applyFlags{}
	c := &cobra.Command{
		Use:   "set SETTING=VALUE ...",
		Short: "Set values: all of them, or nothing",
		Long: `Set values of what was handed over, as ` + "`stackmeter tune apply`" + ` does with those of a
profile: all of them or nothing, read back, and until ` + "`stackmeter tune restore`" + `.`,
		Example: "  stackmeter tune set gro=on rx-ring=4096 --nic eth1\n  stackmeter tune set \"net.ipv4.tcp_rmem=4096 131072 67108864\"",
		Args:    argCheck(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := assignments(args)
			if err != nil {
				return usage(err)
			}
			m, err := f.machine(f.force || f.dryRun)
			if err != nil {
				return err
			}
			plan, err := m.Plan(p)
			if err != nil {
				return asUsage(err)
			}
			return f.apply(c, m, "set "+strings.Join(args, " "), plan)
		},
	}
	f.register(c.Flags())
	f.registerForce(c.Flags())
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be changed, and change nothing")
	jsonFlag(c, &f.json)
	return c
}

// assignments makes a profile of arguments.
func assignments(args []string) (*tune.Profile, error) {
	p := &tune.Profile{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("%q: want SETTING=VALUE", a)
		}
		d, err := tune.Find(name)
		if err != nil {
			return nil, err
		}
		v, err := d.Canonical(value)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.Values, func(v tune.Value) bool { return v.Definition.Name == d.Name }) {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		p.Values = append(p.Values, tune.Value{Definition: d, Text: v, Field: name})
	}
	return p, nil
}
