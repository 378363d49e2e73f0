package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// settings is what a session holds of its host's settings.
type settings struct {
	root    host.Root
	journal *knob.Journal
	set     *knob.Set
	base    []knob.Setting // of configure; what place adds goes with release
	nics    []string       // of configure
}

// FoundMechanism is the mechanism of a setting in a record that the trial left as it was.
const FoundMechanism = "as found"

var errNoSettings = &Error{Code: "not-supported", Text: "this agent lends load only: it lets nobody change settings"}

// hold makes the journal at the first change.
func (s *session) hold() error {
	if !s.options.AllowSettings {
		return errNoSettings
	}
	if s.set != nil {
		return nil
	}
	dir, err := knob.Dir(s.root)
	if err != nil {
		return err
	}
	if s.journal, err = knob.NewJournal(s.root, dir); err != nil {
		return err
	}
	s.set = knob.NewSet(s.root, s.journal)
	return nil
}

func (s *session) configure(ctx context.Context, c Configure) (Configured, error) {
	if err := s.hold(); err != nil {
		return Configured{}, err
	}
	var out Configured
	s.base, s.nics = nil, nil
	if err := s.meet(c.Wire); err != nil {
		return out, err
	}
	online, err := s.root.CPUsOnline()
	if err != nil {
		return out, err
	}
	if c.CPUs != nil && s.lostOf("cpu-hotplug") == nil {
		s.base = append(s.base, knob.Setting{Knob: knob.CPUsInUse(s.root), Value: host.CPUs(c.CPUs...).String()})
	} else if c.CPUs != nil && len(c.CPUs) < len(online) {
		out.Confine = c.CPUs
		out.Warnings = append(out.Warnings, trial.Warning{
			Code: "cpus-by-affinity",
			Text: fmt.Sprintf("CPUs could not be taken offline: the load's threads are confined to %v instead, softirqs are not", host.CPUs(c.CPUs...)),
		})
	}
	for _, n := range c.NICs {
		if err := s.nic(n); err != nil {
			return out, err
		}
	}
	if err := s.set.Apply(ctx, s.base); err != nil {
		return out, inForce(err)
	}
	if err := s.tune(ctx, c.Tune); err != nil {
		return out, inForce(err)
	}
	if out.Knobs, err = s.set.Record(s.prefix()); err != nil {
		return out, err
	}
	out.Knobs = append(out.Knobs, s.found(c.NICs, out.Knobs)...)
	return out, nil
}

// found reads what the NICs' settings want told of what was left as found. What a NIC doesn't
// have is left out.
func (s *session) found(nics []NICSettings, set []trial.Knob) []trial.Knob {
	var out []trial.Knob
	for _, n := range nics {
		for _, what := range n.Tell {
			k := knob.Offload(n.Name, what)
			if what == "mtu" {
				k = knob.MTU(s.root, n.Name)
			}
			i := k.Info()
			i.Target = s.prefix() + i.Target
			if slices.ContainsFunc(set, func(have trial.Knob) bool { return have.Name == i.Name && have.Target == i.Target }) {
				continue
			}
			if v, err := k.Read(); err == nil {
				out = append(out, trial.Knob{Name: i.Name, Target: i.Target, Value: v, Mechanism: FoundMechanism})
			}
		}
	}
	return out
}

// nic adds the settings of one NIC.
func (s *session) nic(n NICSettings) error {
	s.nics = append(s.nics, n.Name)
	add := func(k knob.Knob, v string) { s.base = append(s.base, knob.Setting{Knob: k, Value: v}) }
	if n.MTU > 0 {
		add(knob.MTU(s.root, n.Name), fmt.Sprint(n.MTU))
	}
	for _, feature := range []string{"gro", "tx", "gso", "tso"} { // TSO needs those of checksums and of GSO first
		if on, ok := n.Features[feature]; ok {
			add(knob.Offload(n.Name, feature), map[bool]string{true: "on", false: "off"}[on])
		}
	}
	if !n.Threaded {
		return nil
	}
	irqs, err := s.root.NICIRQs(n.Name)
	if err != nil {
		return err
	}
	if len(irqs) == 0 {
		add(knob.ThreadedNAPI(s.root, n.Name), "1")
	}
	return nil
}

// inForce gives an error of a setting that the kernel did not take its code.
func inForce(err error) error {
	var not *knob.NotInForceError
	switch {
	case errors.As(err, &not):
		return &Error{Code: "not-in-force", Text: err.Error()}
	case host.IsNotSupported(err):
		return &Error{Code: "not-supported", Text: err.Error()}
	}
	return err
}

func (s *session) prefix() string { return s.options.Name + ":" }

// unplace takes back what place set; what configure set stays.
func (s *session) unplace() error {
	if s.set == nil {
		return nil
	}
	s.set.Unguard()
	return errors.Join(s.wired.unplace(), s.set.Apply(context.Background(), s.base))
}

// restore puts everything back and removes the journal. What could not be put
// back stays in the journal for the next run of any command to try.
func (s *session) restore() error {
	if s.set == nil {
		return nil
	}
	err := s.set.Restore().Err()
	return errors.Join(err, s.journal.Close())
}

// settledAfter is how often an interrupt has come when it must have moved to its new CPU: on x86 it
// moves when it comes, and not while the move before that is being cleaned up
// (assign_vector_locked of arch/x86/kernel/apic/vector.c).
const settledAfter = 8

// confirm reads everything back at the window's end: a setting that was not in
// force makes the trial an error.
func (s *session) confirm(m *Measured) error {
	if s.set == nil {
		return s.confirmPinned()
	}
	if err := s.set.Verify(); err != nil {
		return inForce(err)
	}
	taken, err := s.root.InterruptTotals()
	if err != nil && len(s.irqs) > 0 {
		return err
	}
	for irq, want := range s.irqs {
		if taken[irq]-s.taken[irq] < settledAfter {
			continue // of a queue with hardly any traffic
		}
		if err := knob.Effective(s.root, irq, want); err != nil {
			return inForce(fmt.Errorf("after traffic: %w", err))
		}
	}
	return s.confirmFlows(m)
}

func (s *session) confirmNow(context.Context, none) (Confirmed, error) {
	if err := s.in(running); err != nil {
		return Confirmed{}, err
	}
	var m Measured
	err := s.confirm(&m)
	return Confirmed{Knobs: m.Knobs}, err
}

// lostOf is the limit of that name, nil where the host can do it.
func (s *session) lostOf(what string) *Limit {
	for i := range s.lost {
		if s.lost[i].What == what {
			return &s.lost[i]
		}
	}
	return nil
}

// explore finds out what this host can't do.
func (s *session) explore() {
	if _, inside := rig.InUserNamespace(); inside || os.Geteuid() != 0 {
		s.lost = append(s.lost,
			Limit{"cpu-hotplug", "not root: CPUs can't be taken offline", "1P/2P figures confine the load's threads instead"},
			Limit{"irq-affinity", "not root: the CPU of NICs' receive work can't be chosen", "run as root for the cases IRQ, BOTH and OPPOSITE"})
		return
	}
	online, err := s.root.CPUsOnline()
	last := 0
	if err == nil && len(online) > 0 {
		last = online[len(online)-1]
	}
	if _, err := os.Stat(filepath.Join(s.root.CPUDir(), fmt.Sprintf("cpu%d", last), "online")); err != nil {
		s.lost = append(s.lost, Limit{"cpu-hotplug", "the kernel lets no CPU be taken offline", "1P/2P figures confine the load's threads instead"})
	}
}
