package tune

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

const cpuDir = "/sys/devices/system/cpu/"

func cpuCatalogue() []*Definition {
	return []*Definition{
		listed(single(Definition{
			Scope: CPU, Name: "governor", Doc: "how the kernel chooses the CPU's frequency", Source: "Documentation/admin-guide/pm/cpufreq.rst",
			Form: "a governor such as performance, schedutil, powersave", Remedies: []string{"performance"}, canon: word,
		}, frequency("scaling_governor", "governor")), "scaling_available_governors"),
		listed(single(Definition{
			Scope: CPU, Name: "energy-preference", Doc: "hint to the CPU's own choice of frequency, from performance to power", Source: "Documentation/admin-guide/pm/intel_pstate.rst",
			Form: "performance, balance_performance, balance_power, power or default", Remedies: []string{"performance"}, canon: word,
		}, frequency("energy_performance_preference", "energy-preference")), "energy_performance_available_preferences"),
		{
			Scope: CPU, Name: "idle-latency", Doc: "deepest idle states that may be used, by the microseconds that waking up from them takes", Source: "Documentation/admin-guide/pm/cpuidle.rst",
			Form: "any, or microseconds", Remedies: []string{"10", "1"}, canon: idleForm, read: readIdle, resolve: resolveIdle,
		},
	}
}

// frequency is a file of a CPU's frequency policy. CPUs can share one: it is refused
// unless all of them were handed over.
func frequency(file, name string) func(m *Machine, cpu string) (knob.Knob, error) {
	return func(m *Machine, cpu string) (knob.Knob, error) {
		dir := filepath.Join(m.Root.CPUDir(), cpu, "cpufreq")
		b, err := os.ReadFile(filepath.Join(dir, "affected_cpus"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &host.NotSupportedError{
				What: name + " of " + cpu, Reason: "no driver lets the kernel choose its frequency, as in most virtual machines",
				Mend: "leave it out, or set it on the hypervisor or in the firmware",
			}
		}
		if err != nil {
			return nil, err
		}
		var shared []int
		for f := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				shared = append(shared, n)
			}
		}
		if out := host.CPUs(shared...).Without(m.CPUs); len(out) > 0 {
			return nil, fmt.Errorf("%w: %s of %s: shares its frequency with CPU %v, which was not handed over; widen --cpus", host.ErrInput, name, cpu, out)
		}
		path := cpuDir + cpu + "/cpufreq/" + file
		return knob.As(knob.File(m.Root, path, name, ""), name, cpu, "cpufreq "+file), nil
	}
}

// listed refuses values that are not among those that the kernel lists in a file.
func listed(d *Definition, choices string) *Definition {
	resolve := d.resolve
	d.resolve = func(m *Machine, cpu, value string) ([]knob.Setting, error) {
		ss, err := resolve(m, cpu, value)
		b, _ := os.ReadFile(filepath.Join(m.Root.CPUDir(), cpu, "cpufreq", choices))
		if have := strings.Fields(string(b)); err == nil && len(have) > 0 && !slices.Contains(have, value) {
			return nil, &host.NotSupportedError{What: d.Name + " " + value + " of " + cpu, Reason: "the driver has none of that name", Mend: "choose from " + strings.Join(have, ", ")}
		}
		return ss, err
	}
	return d
}

const anyIdle = "any"

func idleForm(v string) (string, error) {
	if v == anyIdle {
		return v, nil
	}
	return number(0, 1_000_000)(v)
}

// idleState is a state of Documentation/admin-guide/pm/cpuidle.rst.
type idleState struct {
	disable knob.Knob
	latency uint64 // microseconds
}

func idleStates(m *Machine, cpu string) ([]idleState, error) {
	dirs, err := filepath.Glob(filepath.Join(m.Root.CPUDir(), cpu, "cpuidle", "state*"))
	if err != nil {
		return nil, err
	}
	var out []idleState
	for _, d := range dirs {
		b, err := os.ReadFile(filepath.Join(d, "latency"))
		if err != nil {
			return nil, err
		}
		us, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: latency: %w", d, err)
		}
		state := filepath.Base(d)
		path := cpuDir + cpu + "/cpuidle/" + state + "/disable"
		out = append(out, idleState{knob.As(knob.File(m.Root, path, "idle-latency", ""), "idle-latency", cpu+" "+state, "cpuidle disable"), us})
	}
	if out == nil {
		return nil, &host.NotSupportedError{What: "idle-latency of " + cpu, Reason: "no driver tells the kernel of idle states", Mend: "leave it out"}
	}
	slices.SortStableFunc(out, func(a, b idleState) int { return cmp.Compare(a.latency, b.latency) })
	return out, nil
}

// readIdle gives the largest latency of a state in use, or lists the states off where
// a lighter one is off than one that is on.
func readIdle(m *Machine, cpu string) (string, error) {
	states, err := idleStates(m, cpu)
	if err != nil {
		return "", err
	}
	deepest, off := uint64(0), 0
	for _, s := range states {
		v, err := s.disable.Read()
		if err != nil {
			return "", err
		}
		if v == "0" {
			deepest = s.latency
			if off > 0 {
				return "some states off by hand", nil
			}
			continue
		}
		off++
	}
	if off == 0 {
		return anyIdle, nil
	}
	return strconv.FormatUint(deepest, 10), nil
}

func resolveIdle(m *Machine, cpu, value string) ([]knob.Setting, error) {
	states, err := idleStates(m, cpu)
	if err != nil {
		return nil, err
	}
	most, err := strconv.ParseUint(value, 10, 64)
	if err != nil && value != anyIdle {
		return nil, err
	}
	var out []knob.Setting
	for i, s := range states {
		v := "0"
		// The lightest stays on: the CPU must have something to do when idle.
		if value != anyIdle && s.latency > most && i > 0 {
			v = "1"
		}
		out = append(out, knob.Setting{Knob: s.disable, Value: v})
	}
	return out, nil
}
