// Package tune is the catalogue of the settings that bear on network performance,
// and the profiles that hold values of them. It resolves a value such as
// "irq-affinity: spread" to the knobs of one machine (see package knob), tells what
// differs, and changes all of it or nothing.
//
// Stance: nothing is touched that the user did not hand over. A [Machine] names the
// NICs, CPUs, processes and cgroups that may be changed; a profile names none but, where NICs differ, NICs
// that must be handed over as well. Settings of the whole machine (sysctls) need no handing over: they
// are the machine.
//
// Caveats: what a driver rounds (rings, coalescing) is not in force as asked, which fails
// the whole profile; write the rounded value then. Daemons that set the same things
// (irqbalance, tuned) undo what is set here when they next run: see [Machine.Warnings].
package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// Scope is of what a setting is.
type Scope string

// Scopes, which are the sections of a profile.
const (
	NIC     Scope = "nic"     // each NIC handed over
	Host    Scope = "host"    // the machine, or the network namespace
	CPU     Scope = "cpu"     // each CPU handed over
	Process Scope = "process" // each process handed over, by name or number
	Cgroup  Scope = "cgroup"  // each cgroup handed over
)

// Definition is a setting of the catalogue.
type Definition struct {
	Scope  Scope  `json:"scope"`
	Name   string `json:"name"`   // as in profiles: "rx-ring"; a sysctl's own name for those
	Doc    string `json:"doc"`    // what the kernel's documentation says, in one line
	Source string `json:"source"` // where it says so
	Form   string `json:"form"`   // how values are written
	// Remedies are values that are worth trying where the stack is slow: none of them loses
	// connectivity or data, each may cost latency, memory or energy.
	Remedies []string `json:"remedies,omitempty"`

	canon   func(string) (string, error) // form of a value that needs no machine to be checked
	read    func(m *Machine, target string) (string, error)
	resolve func(m *Machine, target, value string) ([]knob.Setting, error)
	more    func(m *Machine, target string) []string                            // remedies that depend on the machine
	emit    func(m *Machine, target string, s []knob.Setting) ([]string, error) // nil: the commands of the settings
}

// Catalogue lists all settings in the order in which a profile is applied: what makes
// queues and threads comes before what places them.
func Catalogue() []*Definition {
	return slices.Concat(hostCatalogue(), nicCatalogue(), defaultQdisc(), placeCatalogue(), cpuCatalogue(), processCatalogue(), cgroupCatalogue())
}

// Find looks a setting up by its name; the error names those that are near.
func Find(name string) (*Definition, error) {
	all := Catalogue()
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%w: unknown setting %q%s", host.ErrInput, name, near(name, all))
}

// near suggests names.
func near(name string, all []*Definition) string {
	var close []string
	flat := strings.NewReplacer("_", "", "-", "", ".", "")
	want := strings.ToLower(flat.Replace(name))
	for _, d := range all {
		have := flat.Replace(d.Name)
		if len(want) > 2 && (strings.Contains(have, want) || strings.Contains(want, have)) {
			close = append(close, d.Name)
		}
	}
	if len(close) == 0 || len(close) > 5 {
		return "; see `stackmeter tune list`"
	}
	return "; did you mean " + strings.Join(close, " or ") + "?"
}

// Canonical checks a value's form and gives the form in which it is compared. Whether
// the machine can have it is known to [Item.Resolve] only.
func (d *Definition) Canonical(value string) (string, error) {
	v, err := d.canon(strings.TrimSpace(value))
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w; want %s", host.ErrInput, d.Name, err, d.Form)
	}
	return v, nil
}

// single makes a setting of one knob.
func single(d Definition, k func(m *Machine, target string) (knob.Knob, error)) *Definition {
	return mapped(d, k, nil)
}

// mapped makes a setting of one knob whose values people write otherwise: words maps
// theirs to the knob's.
func mapped(d Definition, k func(m *Machine, target string) (knob.Knob, error), words map[string]string) *Definition {
	d.read = func(m *Machine, target string) (string, error) {
		k, err := k(m, target)
		if err != nil {
			return "", err
		}
		v, err := k.Read()
		for word, value := range words {
			if value == v && err == nil {
				v = word
			}
		}
		return v, err
	}
	d.resolve = func(m *Machine, target, value string) ([]knob.Setting, error) {
		k, err := k(m, target)
		if err != nil {
			return nil, err
		}
		if v, ok := words[value]; ok {
			value = v
		}
		return []knob.Setting{{Knob: k, Value: value}}, nil
	}
	return &d
}

// Item is a setting of one thing that was handed over.
type Item struct {
	*Definition
	Target string // a NIC, "machine", "cpu3", a process or cgroup as handed over

	m *Machine
}

// Read gives the value in force in the form of profiles, or a
// *host.NotSupportedError.
func (i Item) Read() (string, error) {
	v, err := i.read(i.m, i.Target)
	return v, i.lacking(err)
}

// Resolve gives the knobs that value comes to on this machine, in the order in which
// they are to be set. It changes nothing. The error is a *host.NotSupportedError where the machine can't have the
// setting, and wraps host.ErrInput where the value asks for what was not handed over.
func (i Item) Resolve(value string) ([]knob.Setting, error) {
	v, err := i.Canonical(value)
	if err != nil {
		return nil, err
	}
	ss, err := i.resolve(i.m, i.Target, v)
	if err != nil {
		return nil, i.lacking(err)
	}
	for n, s := range ss {
		if ss[n].Value, err = s.Knob.Canonical(s.Value); err != nil {
			return nil, fmt.Errorf("%w: %s of %s: %w; want %s", host.ErrInput, i.Name, i.Target, err, i.Form)
		}
	}
	return ss, nil
}

// Candidates are the remedies that this machine can have and that differ from the
// value in force, for an experiment to try.
func (i Item) Candidates() []string {
	if _, err := i.Read(); err != nil {
		return nil
	}
	all := i.Remedies
	if i.more != nil {
		all = append(slices.Clone(all), i.more(i.m, i.Target)...)
	}
	var out []string
	for _, v := range all {
		ss, err := i.Resolve(v)
		if err != nil || slices.Contains(out, v) {
			continue
		}
		if slices.ContainsFunc(ss, func(s knob.Setting) bool { return knob.Verify(s.Knob, s.Value) != nil }) {
			out = append(out, v)
		}
	}
	return out
}

// lacking makes the absence of a file or a driver's function an answer.
func (i Item) lacking(err error) error {
	if err == nil || host.IsNotSupported(err) {
		return err
	}
	n := &host.NotSupportedError{What: i.Name + " of " + i.Target}
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		n.Reason, n.Mend = "the driver doesn't have it", "leave it out for this NIC"
	case errors.Is(err, fs.ErrNotExist) && i.Scope == Host:
		n.Reason, n.Mend = "there is no such sysctl in this kernel or network namespace", "leave it out, or set it in the machine's own namespace"
	case errors.Is(err, fs.ErrNotExist) && i.Name == "xps" && singleTx(i.m, i.Target): // xps_cpus_show in net/core/net-sysfs.c
		n.Reason, n.Mend = "it has a single transmit queue, among which there is nothing to choose", "leave it out"
	case errors.Is(err, fs.ErrNotExist):
		n.Reason, n.Mend = "the kernel shows no such file", "leave it out"
	default:
		return fmt.Errorf("%s of %s: %w", i.Name, i.Target, err)
	}
	return n
}
