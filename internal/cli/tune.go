package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/tune"
)

const forceFlag = "--force-default-route"

func newTune() *cobra.Command {
	c := &cobra.Command{
		Use:   "tune",
		Short: "Look at, set and put back the settings that bear on network performance",
		Long: `Look at, set and put back the settings of NICs, CPUs, processes and the kernel
that bear on network performance: one by one, or from a profile, a YAML file that can
be committed (doc/profile-of-settings.md).

Only what you hand over is touched: --nic, --cpus, --process, --cgroup. A change is all
or nothing: each value is written down before it is set, read back after it, and if one
can't be had, or this command is killed, everything is put back. What was set stays
until the machine boots or ` + "`stackmeter tune restore`" + ` puts it back; to have it
at every boot, see ` + "`stackmeter tune apply --emit systemd`" + `.`,
		Example: `  stackmeter tune list
  stackmeter tune show --nic eth1
  stackmeter tune set irq-affinity=local gro=on --nic eth1
  stackmeter tune save --nic eth1 -o lab.yaml
  stackmeter tune diff lab.yaml --nic eth1
  stackmeter tune apply lab.yaml --nic eth1
  stackmeter tune restore`,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTuneList(), newTuneShow(), newTuneSet(), newTuneSave(), newTuneApply(), newTuneDiff(), newTuneRestore())
	return c
}

// handed are the flags that hand things over.
type handed struct {
	nics, processes, cgroups []string
	cpus                     string
	force                    bool
}

func (h *handed) register(fl *pflag.FlagSet) {
	fl.StringSliceVar(&h.nics, "nic", nil, "hand over these NICs, e.g. eth1,eth2")
	fl.StringVar(&h.cpus, "cpus", "", "hand over these CPUs, as a `LIST` such as 0-3,8: their own settings, and steering to no others")
	fl.StringSliceVar(&h.processes, "process", nil, "hand over these processes, by name or number")
	fl.StringSliceVar(&h.cgroups, "cgroup", nil, "hand over these cgroups, by their directories below /sys/fs/cgroup")
}

func (h *handed) registerForce(fl *pflag.FlagSet) {
	fl.BoolVar(&h.force, forceFlag[2:], false, "allow a NIC that carries the default route: you may lose the connection to this machine")
}

// machine checks what was handed over. Looking is allowed at any NIC.
func (h *handed) machine(look bool) (*tune.Machine, error) {
	m := &tune.Machine{Root: host.Live(), NICs: h.nics, Processes: h.processes, Cgroups: h.cgroups}
	if h.cpus != "" {
		l, err := host.ParseCPUList(h.cpus)
		if err != nil {
			return nil, usage(fmt.Errorf("--cpus: %w", err))
		}
		m.CPUs = l
	}
	if err := m.Validate(look || h.force, forceFlag); err != nil {
		return nil, usage(err)
	}
	return m, nil
}

// asUsage gives what the user can mend its exit code.
func asUsage(err error) error {
	if errors.Is(err, host.ErrInput) || host.IsNotSupported(err) {
		return usage(err)
	}
	return err
}

// watchInterrupts is how long interrupts are watched that were steered.
const watchInterrupts = 250 * time.Millisecond

// commitPlan sets a plan and says what came of it.
func commitPlan(ctx context.Context, c *cobra.Command, m *tune.Machine, name string, plan []tune.Want, skip, asJSON bool) error {
	stdout, stderr := c.OutOrStdout(), c.ErrOrStderr()
	for _, w := range m.Warnings(plan) {
		fmt.Fprintln(stderr, "warning:", w)
	}
	dir, err := knob.Dir(m.Root)
	if err != nil {
		return usage(err)
	}
	release, err := knob.Exclusive(ctx, dir, func(pid int) {
		fmt.Fprintf(stderr, "waiting for process %d, which measures or changes settings\n", pid)
	})
	if err != nil {
		return err
	}
	defer release()
	var o tune.Outcome
	var skipped []error
	if skip {
		o, skipped, err = tune.CommitPossible(ctx, m.Root, dir, name, plan)
	} else {
		o, err = tune.Commit(ctx, m.Root, dir, name, plan)
	}
	for _, s := range skipped {
		fmt.Fprintln(stderr, "left out:", s)
	}
	if err != nil {
		if left := o.Back.Err(); left != nil {
			return &exitError{exitNotRestored, fmt.Errorf("%w\nand settings are NOT put back:\n%w", err, left)}
		}
		return fmt.Errorf("%w\nnothing is changed: what was set before this was put back", err)
	}
	if slices.ContainsFunc(plan, func(w tune.Want) bool { return w.Item.Name == "irq-affinity" }) {
		// All is set and kept: what can't be watched is no failure of that.
		astray, err := m.Astray(ctx, watchInterrupts)
		if err != nil {
			astray = []string{fmt.Sprintf("where interrupts come now could not be watched: %v", err)}
		}
		for _, a := range astray {
			fmt.Fprintln(stderr, "warning:", a)
		}
	}
	if asJSON {
		return writeJSON(stdout, struct {
			Name    string        `json:"name"`
			Changed []knob.Change `json:"changed"`
		}{name, append([]knob.Change{}, o.Changed...)})
	}
	tellChanges(stdout, o.Changed)
	return nil
}

func tellChanges(w io.Writer, changes []knob.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "%s of %s: %s -> %s\n", c.Name, c.Target, shown(c.Old), shown(c.New))
	}
	if len(changes) == 0 {
		fmt.Fprintln(w, "nothing to change: all is so already")
		return
	}
	fmt.Fprintf(w, "%d changed and read back; `stackmeter tune restore` puts them back\n", len(changes))
}

// shown makes an empty value visible.
func shown(v string) string {
	if v == "" {
		return "(none)"
	}
	return v
}
