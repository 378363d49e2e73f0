package tune

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
)

// strays is how many interrupts may come on another CPU than allowed while one is being moved: on x86
// it moves when it comes, and not while an earlier move is being cleaned up.
const strays = 8

// Astray watches the interrupts of the NICs that were handed over for a while, and tells of those that
// come on CPUs that their affinity does not name: what a driver or the interrupt controller
// ignored is not seen when it is set, only when there is traffic. Without traffic it sees nothing.
func (m *Machine) Astray(ctx context.Context, watch time.Duration) ([]string, error) {
	before, err := m.Root.Interrupts()
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(watch):
	}
	after, err := m.Root.Interrupts()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, nic := range m.NICs {
		qs, err := irqsByQueue(m, nic)
		if err != nil {
			continue // it has none that can be steered
		}
		for _, q := range qs {
			for _, i := range q {
				allowed, _, err := m.Root.IRQAffinity(i.IRQ)
				if err != nil {
					return nil, err
				}
				if cpus := elsewhere(before, after, i.IRQ, allowed); len(cpus) > 0 {
					out = append(out, fmt.Sprintf("interrupt %d of %s still comes on CPU %v, its affinity is %v", i.IRQ, nic, cpus, allowed))
				}
			}
		}
	}
	return out, nil
}

// elsewhere are the CPUs outside of allowed on which an interrupt came more often between two
// readings than while it is being moved.
func elsewhere(before, after []host.Interrupt, irq int, allowed host.CPUList) host.CPUList {
	of := func(all []host.Interrupt) map[int]uint64 {
		n := slices.IndexFunc(all, func(i host.Interrupt) bool { return i.IRQ == irq })
		if n < 0 {
			return nil
		}
		return all[n].Counts
	}
	earlier := of(before)
	var cpus []int
	for cpu, n := range of(after) {
		if n > earlier[cpu]+strays && !allowed.Has(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return host.CPUs(cpus...)
}
