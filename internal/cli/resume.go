package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/result"
)

// lasting are the facts of a host (JSON names of host.Facts) that must be the same for
// all trials of a study. What differs at each start and bears on no figure, as the
// boot or free memory, is not among them.
var lasting = []string{
	"hostname", "kernel_release", "kernel_version", "architecture", "cpu_model", "cpus_online", "tick_hertz",
	"irq_time_accounting", "clocksource", "cpuidle_driver", "cpuidle_governor", "cpufreq_governor", "mitigations",
}

// sameAsBegun refuses to go on with a study where its first trials were not
// measured: on another host or kernel, with other rights, by another program. Medians over
// both would be of nothing.
func sameAsBegun(d *result.Dir, b *experiment.Bench) error {
	var errs []error
	if was, is := d.Manifest.Versions.Stackmeter, version(); was != is {
		errs = append(errs, fmt.Errorf("stackmeter was %s, is %s", was, is))
	}
	for _, h := range []struct {
		role string
		now  json.RawMessage
	}{{"server", b.ServerHello.Host}, {"client", b.ClientHello.Host}} {
		if was, ok := d.Hosts[h.role]; ok {
			errs = append(errs, changed(h.role, was, h.now))
		}
	}
	var was, is []string
	for _, w := range d.Manifest.Warnings {
		if what, ok := strings.CutPrefix(w.Code, experiment.LostPrefix); ok {
			was = append(was, what)
		}
	}
	for _, l := range b.ServerHello.Lost {
		is = append(is, l.What)
	}
	slices.Sort(was)
	slices.Sort(is)
	if !slices.Equal(was, is) {
		errs = append(errs, fmt.Errorf("what this user can't measure or set was %v, is %v: resume as the user who began", was, is))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("--resume: what is in %s was measured under other conditions; begin a new study:\n%w", d.Path, err)
	}
	return nil
}

// changed names the lasting facts in which two records of a host differ.
func changed(role string, was, is json.RawMessage) error {
	var x, y map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(was, &x), json.Unmarshal(is, &y)); err != nil {
		return fmt.Errorf("%s of %s: %w", result.HostsFile, role, err)
	}
	var errs []error
	for _, f := range lasting {
		a, b := compact(x[f]), compact(y[f])
		if a != b {
			errs = append(errs, fmt.Errorf("%s of the %s was %s, is %s", f, role, a, b))
		}
	}
	return errors.Join(errs...)
}

// compact is JSON without its indentation.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return "unknown"
	}
	return b.String()
}
