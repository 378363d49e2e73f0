package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// appliedName is the name of what was applied, as in reports of what is put back.
const appliedName = "advise"

// apply commits the settings of the advice: all of them or nothing. It ends before the first that is no
// setting of this machine, for what comes after was measured on top of that.
func (a *adviceRun) apply(ctx context.Context, r *advise.Report, dir string) error {
	m := &tune.Machine{Root: host.Live(), NICs: a.flags.hosts.nics}
	if err := m.Validate(a.flags.hosts.iKnow, "--i-know"); err != nil {
		return usage(err)
	}
	var plan []tune.Want
	settings, rest := applicable(r.Advice)
	for i, advice := range rest {
		why := "it is no setting of this machine: " + strings.Join(advice.Commands, "; ")
		if i > 0 {
			why = "its gain was measured with " + rest[0].Name + " in force"
		}
		fmt.Fprintf(os.Stderr, "not applied: %s: %s\n", advice.Name, why)
	}
	for _, advice := range settings {
		for _, v := range advice.Settings {
			wants, err := wantsOf(m, v)
			if err != nil {
				return asUsage(err)
			}
			plan = append(plan, wants...)
		}
	}
	if len(plan) == 0 {
		_, err := fmt.Fprintln(os.Stderr, "nothing to apply")
		return err
	}
	for _, w := range m.Warnings(plan) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	o, err := tune.Commit(ctx, m.Root, dir, appliedName, plan)
	if err != nil {
		if left := o.Back.Err(); left != nil {
			return &exitError{exitNotRestored, fmt.Errorf("%w\nand settings are NOT put back:\n%w", err, left)}
		}
		return fmt.Errorf("%w\nnothing is changed: what was set before this was put back", err)
	}
	for _, c := range o.Changed {
		fmt.Fprintf(os.Stderr, "%s of %s: %s -> %s\n", c.Name, c.Target, shown(c.Old), shown(c.New))
	}
	fmt.Fprintf(os.Stderr, "%d changed and read back; `stackmeter tune restore --last` puts them back\n", len(o.Changed))
	return nil
}

// applicable parts the advice before the first that stackmeter can't apply.
func applicable(all []advise.Advice) (settings, rest []advise.Advice) {
	i := slices.IndexFunc(all, func(a advise.Advice) bool { return len(a.Settings) == 0 })
	if i < 0 {
		i = len(all)
	}
	return all[:i], all[i:]
}

// wantsOf is a value on every NIC, or on the machine.
func wantsOf(m *tune.Machine, v advise.Value) ([]tune.Want, error) {
	var out []tune.Want
	for _, i := range m.Items() {
		if i.Name != v.Setting {
			continue
		}
		w, err := i.Want(v.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		return nil, errors.New(v.Setting + ": no such setting was handed over")
	}
	return out, nil
}
