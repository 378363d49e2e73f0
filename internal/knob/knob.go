// Package knob changes settings of the system and puts them back, whatever
// happens. A [Knob] is one setting. A [Set] holds the settings in force,
// verifies each by reading it back, and restores them in reverse order. Before a
// change is made it is written to a [Journal] on disk, so that [Recover], called at the
// start of commands, can undo what a killed process left. A journal knows network namespaces and
// NICs by what no later one gets, so that neither a namespace with a used inode number nor a NIC of
// the same name is taken for them; what can't be undone is given up with [Forget].
//
// A value that somebody else has changed since is left alone and reported: only
// what is still as this package set it is put back. The one exception are the
// bystanders of CPU hotplug (see [CPUsInUse]), which the kernel changes unasked.
package knob

import (
	"errors"
	"fmt"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Info says what a knob is.
type Info struct {
	Kind      string // implementation, for the journal: "mtu", "irq", ...
	Key       string // the thing it sets, for the journal: "eth0", "29", ...
	Name      string // in records: "irq-affinity"
	Target    string // in records: "eth0", "machine"
	Mechanism string // what carries it: "smp_affinity_list"
	Doc       string // one line
	InNetNS   bool   // belongs to a network namespace, not to the machine
}

// Knob is one setting of the system.
type Knob interface {
	Info() Info
	// Canonical returns the form in which Read gives value, or an error for a value that
	// the knob can't have.
	Canonical(value string) (string, error)
	// Read returns the value in force. Its error wraps fs.ErrNotExist or unix.ESRCH where
	// the thing itself is gone.
	Read() (string, error)
	// Write sets a canonical value. Success doesn't mean that it is in force.
	Write(value string) error
	// Command is the shell command that writes value.
	Command(value string) string
}

// Setting is a value that a knob is to have.
type Setting struct {
	Knob  Knob
	Value string
}

// NotInForceError is a setting that was written and reads otherwise.
type NotInForceError struct {
	Info      Info
	Want, Got string
}

func (e *NotInForceError) Error() string {
	return fmt.Sprintf("%s of %s is not in force: wanted %q, the kernel has %q", e.Info.Name, e.Info.Target, e.Want, e.Got)
}

// Verify reads a knob back and returns a *NotInForceError if it is not as
// wanted.
func Verify(k Knob, value string) error {
	want, err := k.Canonical(value)
	if err != nil {
		return err
	}
	got, err := k.Read()
	if err != nil {
		return fmt.Errorf("read %s of %s back: %w", k.Info().Name, k.Info().Target, err)
	}
	if got != want {
		return &NotInForceError{k.Info(), want, got}
	}
	return nil
}

// errUnknownKind is a journal entry of another version.
var errUnknownKind = errors.New("unknown kind of knob")

// open makes the knob that a journal entry names.
func open(root host.Root, kind, key string) (Knob, error) {
	make, ok := map[string]func(host.Root, string) (Knob, error){
		"file":     openFile,
		"cpulist":  openList,
		"irq":      openIRQ,
		"mtu":      func(r host.Root, k string) (Knob, error) { return MTU(r, k), nil },
		"threaded": func(r host.Root, k string) (Knob, error) { return ThreadedNAPI(r, k), nil },
		"rps":      openRPS,
		"xps":      openXPS,
		"offload":  openOffload,
		"rfs":      openRFS,
		"nicfile":  openNICNumber,
		"sysctl":   openSysctl,
		"ethtool":  openEthtool,
		"linksize": openLinkSize,
		"rss":      func(_ host.Root, k string) (Knob, error) { return RSS(k), nil },
		"ipv6conf": openIPv6Conf,
		"qdisc":    func(_ host.Root, k string) (Knob, error) { return Qdisc(k), nil },
		"thread":   openThread,
		"cpus":     func(r host.Root, _ string) (Knob, error) { return CPUsInUse(r), nil },
	}[kind]
	if !ok {
		return nil, fmt.Errorf("%w: %q", errUnknownKind, kind)
	}
	return make(root, key)
}

// labelled is a knob under another name in records.
type labelled struct {
	Knob
	name, target, mechanism string
}

func (l labelled) Info() Info {
	i := l.Knob.Info()
	i.Name, i.Target, i.Mechanism = l.name, l.target, l.mechanism
	return i
}

// bare is a knob without its other name.
func bare(k Knob) Knob {
	if l, ok := k.(labelled); ok {
		return bare(l.Knob)
	}
	return k
}

// Writable tells before any change whether this process, on this machine, may write a knob: a
// *host.NotSupportedError where it may not. Success is no promise: some refusals are known only
// to the kernel's function that writes.
func Writable(k Knob) error {
	if w, ok := bare(k).(interface{ writable() error }); ok {
		return w.writable()
	}
	return nil
}

// As gives a knob another name, target and mechanism in records and messages,
// as where a NAPI thread's affinity stands in for a NIC's IRQ affinity.
func As(k Knob, name, target, mechanism string) Knob { return labelled{k, name, target, mechanism} }
