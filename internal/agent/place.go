package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// nicWork is something that does a NIC's receive work: an interrupt, or the
// kernel thread of a threaded NAPI instance where the NIC has none.
type nicWork struct {
	pid  int // of the kernel thread; 0: an interrupt
	irq  int
	knob knob.Knob // its CPUs
}

// work lists what does the receive work of a NIC.
func (s *session) work(nic string) ([]nicWork, error) {
	irqs, err := s.root.NICIRQs(nic)
	if err != nil {
		return nil, err
	}
	var out []nicWork
	for _, i := range irqs {
		out = append(out, nicWork{irq: i.IRQ, knob: knob.As(knob.IRQ(s.root, i.IRQ), "irq-affinity", nic, "smp_affinity_list")})
	}
	if len(out) > 0 {
		return out, nil
	}
	napis, err := s.root.NAPIs(nic)
	if err != nil {
		return nil, err
	}
	for _, n := range napis {
		if n.PID == 0 {
			continue
		}
		t, err := s.root.Task(n.PID)
		if err != nil {
			return nil, err
		}
		out = append(out, nicWork{pid: n.PID, knob: knob.As(knob.Thread(s.root, t), "irq-affinity", nic, "threaded-napi")})
	}
	return out, nil
}

func (s *session) place(ctx context.Context, p Place) (Placed, error) {
	if err := s.in(connected); err != nil {
		return Placed{}, err
	}
	var out Placed
	if !s.options.AllowSettings {
		if len(p.IRQ) > 0 || p.Scatter != nil || p.Confine != nil {
			return out, errNoSettings
		}
		return out, nil
	}
	if p.Scatter != nil && (len(p.Scatter.CPUs) == 0 || p.Scatter.Period < time.Millisecond) {
		return out, &Error{Code: "bad-request", Text: "scatter: want at least one CPU and a period of 1ms or more"}
	}
	if s.scatter != nil {
		return out, &Error{Code: "bad-request", Text: "the load is placed already: release it first"}
	}
	if err := s.hold(); err != nil {
		return out, err
	}
	s.irqs = map[int]host.CPUList{}
	moved := &scatterer{}
	for _, nic := range s.nics {
		if s.has(nic) {
			if err := s.wired.place(nic, p, &out, moved); err != nil {
				return out, err
			}
			continue
		}
		work, err := s.work(nic)
		if err != nil {
			return out, err
		}
		cpu, pinned := p.IRQ[nic]
		if pinned && len(work) == 0 {
			return out, &Error{Code: "not-supported", Text: fmt.Sprintf("NIC %s has neither an interrupt nor a NAPI thread: the CPU of its receive work can't be chosen", nic)}
		}
		for _, w := range work {
			if w.pid != 0 {
				out.NICWork = append(out.NICWork, w.pid)
			}
			switch {
			case pinned:
				if err := s.set.Put(ctx, w.knob, fmt.Sprint(cpu)); err != nil {
					return out, inForce(err)
				}
				if w.irq != 0 {
					s.irqs[w.irq] = host.CPUs(cpu)
				}
			case p.Scatter != nil && slices.Contains(p.Scatter.NICs, nic) && s.lostOf("irq-affinity") == nil:
				if err := s.set.Guard(ctx, w.knob); err != nil {
					return out, err
				}
				moved.things = append(moved.things, thing{"NIC " + nic, func(cpu int) error { return w.knob.Write(fmt.Sprint(cpu)) }})
			}
		}
	}
	if len(s.irqs) > 0 {
		var err error
		if s.taken, err = s.root.InterruptTotals(); err != nil {
			return out, err
		}
	}
	if err := s.placeFlows(p, moved); err != nil {
		return out, err
	}
	if len(moved.things) > 0 {
		moved.start(p.Scatter.CPUs, p.Scatter.Period)
		s.scatter = moved
	}
	return out, nil
}

// placeFlows scatters or confines the flows that are not pinned.
func (s *session) placeFlows(p Place, moved *scatterer) error {
	s.flowCPUs = map[int]host.CPUList{}
	if s.spec.Engine == load.Ustack && (p.Scatter != nil && p.Scatter.Flows || p.Confine != nil) {
		return &Error{Code: "not-supported", Text: "engine \"ustack\": its flows have no threads of their own to be moved or confined: pin them, or leave them as found"}
	}
	for i, f := range s.spec.Flows {
		if f.CPU >= 0 { // the worker pinned it
			s.flowCPUs[i] = host.CPUs(f.CPU)
			continue
		}
		tid := s.pool.Table.Slot(i).TID()
		if p.Scatter != nil && p.Scatter.Flows {
			moved.things = append(moved.things, thing{fmt.Sprintf("flow %d", f.ID), func(cpu int) error { return sysx.SetAffinity(tid, []int{cpu}) }})
			continue
		}
		if p.Confine != nil {
			if err := sysx.SetAffinity(tid, p.Confine); err != nil {
				return err
			}
			s.flowCPUs[i] = host.CPUs(p.Confine...)
		}
	}
	return nil
}

// confirmPinned reads the affinity of the threads that the workers pinned: somebody may have
// moved them since.
func (s *session) confirmPinned() error {
	slot := 0
	seen := map[int]bool{}
	for i := range s.spec.Flows {
		f := &s.spec.Flows[i]
		first := slot
		slot += f.Flows()
		want := s.spec.CPUs
		if len(want) == 0 && s.spec.Model != load.Epoll && f.CPU >= 0 {
			want = []int{f.CPU}
		}
		for k := first; k < slot && len(want) > 0; k++ {
			tid := s.pool.Table.Slot(k).TID()
			if seen[tid] {
				continue
			}
			seen[tid] = true
			got, err := sysx.Affinity(tid)
			if errors.Is(err, unix.ESRCH) {
				continue // it ended, which the table tells
			}
			if err != nil {
				return err
			}
			if s.spec.Engine == load.Ustack { // the process, on all of its CPUs
				if !slices.Equal(got, s.spec.ProcessCPUs()) {
					return &Error{Code: "not-in-force", Text: fmt.Sprintf("the process of the user-space stack was confined to the CPUs %v, the kernel has %v", host.CPUList(s.spec.ProcessCPUs()), host.CPUList(got))}
				}
				continue
			}
			if len(got) != 1 || !slices.Contains(want, got[0]) {
				return &Error{Code: "not-in-force", Text: fmt.Sprintf("flow %d: its thread was pinned to one of the CPUs %v, the kernel has %v", f.ID+k-first, want, host.CPUList(got))}
			}
		}
	}
	return nil
}

// confirmFlows reads the affinity of every flow back and records it, and what
// was scattered.
func (s *session) confirmFlows(m *Measured) error {
	for i, f := range s.spec.Flows {
		tid := s.pool.Table.Slot(i).TID()
		cpus, err := sysx.Affinity(tid)
		if err != nil {
			return err
		}
		want, fixed := s.flowCPUs[i]
		if !fixed {
			continue
		}
		if !slices.Equal(cpus, want) {
			return &Error{Code: "not-in-force", Text: fmt.Sprintf("flow %d: confined to CPUs %v, the kernel has %v", f.ID, want, host.CPUList(cpus))}
		}
		m.Knobs = append(m.Knobs, trial.Knob{
			Name: "process-affinity", Target: fmt.Sprintf("%sflow%d", s.prefix(), f.ID), Value: host.CPUList(cpus).String(), Mechanism: "sched_setaffinity",
		})
	}
	irqs, err := s.set.Record(s.prefix())
	if err != nil {
		return err
	}
	for _, k := range irqs {
		if k.Name == "irq-affinity" {
			m.Knobs = append(m.Knobs, k)
		}
	}
	routes, err := s.wired.confirm(s.prefix())
	if err != nil {
		return err
	}
	m.Knobs = append(m.Knobs, routes...)
	if s.scatter == nil {
		return nil
	}
	moves, err := s.scatter.so()
	if err != nil {
		return &Error{Code: "not-in-force", Text: err.Error()}
	}
	m.Knobs = append(m.Knobs, trial.Knob{
		Name: "scatter", Target: s.prefix() + s.scatter.what(), Value: fmt.Sprintf("random CPU every %v", s.scatter.period), Mechanism: "sched_setaffinity",
	})
	if moves == 0 {
		return &Error{Code: "not-in-force", Text: "scatter moved nothing"}
	}
	return nil
}
