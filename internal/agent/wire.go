package agent

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// wired is the host's NICs that are a rig's in software, whose interrupts are threads. Routes are
// not journaled: they end with the rig.
type wired struct {
	interrupts *wire.Interrupts // nil: none
	ref        wire.Ref
	routed     map[string]int // NIC -> CPU that place fixed
}

// meet reaches the interrupts of a rig, once.
func (w *wired) meet(ref *wire.Ref) error {
	if ref == nil || w.interrupts != nil && w.ref.PID == ref.PID {
		return nil
	}
	if err := w.close(); err != nil {
		return err
	}
	i, err := ref.Open()
	if err != nil {
		return err
	}
	w.interrupts, w.ref, w.routed = i, *ref, map[string]int{}
	return nil
}

func (w *wired) close() error {
	if w.interrupts == nil {
		return nil
	}
	err := w.interrupts.Close()
	w.interrupts = nil
	return err
}

func (w *wired) has(nic string) bool { return w.interrupts != nil && w.interrupts.Has(nic) }

// place fixes where a NIC interrupts, or lets it be moved about.
func (w *wired) place(nic string, p Place, out *Placed, moved *scatterer) error {
	out.NICWork = append(out.NICWork, w.interrupts.PID())
	if cpu, pinned := p.IRQ[nic]; pinned {
		w.routed[nic] = cpu
		return w.interrupts.Route(nic, cpu)
	}
	if p.Scatter != nil && slices.Contains(p.Scatter.NICs, nic) {
		w.routed[nic] = -1
		moved.things = append(moved.things, thing{"NIC " + nic, func(cpu int) error { return w.interrupts.Route(nic, cpu) }})
	}
	return nil
}

// unplace takes back what place did.
func (w *wired) unplace() error {
	for _, nic := range slices.Sorted(maps.Keys(w.routed)) {
		if err := w.interrupts.Release(nic); err != nil {
			return err
		}
		delete(w.routed, nic)
	}
	return nil
}

// confirm reads back where the NICs interrupt.
func (w *wired) confirm(prefix string) ([]trial.Knob, error) {
	var out []trial.Knob
	for _, nic := range slices.Sorted(maps.Keys(w.routed)) {
		cpu := w.routed[nic]
		if cpu < 0 {
			continue
		}
		on, err := w.interrupts.Routed(nic)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(on, host.CPUs(cpu)) {
			return nil, &Error{Code: "not-in-force", Text: fmt.Sprintf("NIC %s: its interrupts were routed to CPU %d, they go to %v", nic, cpu, on)}
		}
		out = append(out, trial.Knob{Name: "irq-affinity", Target: prefix + nic, Value: strconv.Itoa(cpu), Mechanism: "wire-irq"})
	}
	return out, nil
}

// counters are the host's, with those of NICs in software.
func (s *session) counters() (map[string]uint64, error) {
	out, err := s.root.Counters()
	if err == nil && s.interrupts != nil {
		maps.Copy(out, s.interrupts.Counters())
	}
	return out, err
}
