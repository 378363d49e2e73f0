package wire

import (
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/stackmeter/stackmeter/internal/host"
)

// index is where a CPU stands among those of the rig.
func (m *memory) index(cpu int) (int, error) {
	for i := range m.cpus() {
		if int(m.head.ids[i]) == cpu {
			return i, nil
		}
	}
	return 0, fmt.Errorf("CPU %d: interrupts of the rig go to %v only", cpu, m.allCPUs())
}

func (m *memory) allCPUs() host.CPUList {
	var out []int
	for _, id := range m.head.ids[:m.cpus()] {
		out = append(out, int(id))
	}
	slices.Sort(out)
	return out
}

// store writes a set of CPUs.
func (m *memory) store(to *[maxCPUs / 64]atomic.Uint64, cpus []int) error {
	var words [maxCPUs / 64]uint64
	for _, c := range cpus {
		i, err := m.index(c)
		if err != nil {
			return err
		}
		words[i/64] |= 1 << (i % 64)
	}
	if len(cpus) == 0 {
		return fmt.Errorf("no CPU: interrupts of the rig go to %v", m.allCPUs())
	}
	for i := range words {
		to[i].Store(words[i])
	}
	return nil
}

// load reads a set of CPUs.
func (m *memory) load(from *[maxCPUs / 64]atomic.Uint64) host.CPUList {
	var out []int
	for w := range from {
		for v := from[w].Load(); v != 0; v &= v - 1 {
			out = append(out, int(m.head.ids[w*64+bits.TrailingZeros64(v)]))
		}
	}
	slices.Sort(out)
	return out
}

// following is the index of the CPU of a set that comes after one, round about; -1 of an empty set.
func following(set *[maxCPUs / 64]atomic.Uint64, after, cpus int) int {
	for k := 1; k <= cpus; k++ {
		if i := (after + k) % cpus; set[i/64].Load()&(1<<(i%64)) != 0 {
			return i
		}
	}
	return -1
}

// set writes settings for the hardware to take.
func (m *memory) set(s Settings) error {
	h := m.head
	if s.CPUs == nil {
		s.CPUs = m.allCPUs()
	}
	if err := m.store(&h.free, s.CPUs); err != nil {
		return err
	}
	h.generation.Add(1)
	h.linkRate.Store(uint64(s.LinkRate))
	h.busRate.Store(uint64(s.BusRate))
	h.nicsPerBus.Store(uint32(s.NICsPerBus))
	h.gap.Store(0)
	if s.InterruptRate > 0 {
		h.gap.Store(1e9 / uint64(s.InterruptRate))
	}
	for side := range m.ports {
		h.merge[side].Store(0)
		if s.Merge[side] {
			h.merge[side].Store(1)
		}
		for i := range m.ports[side] {
			if err := m.store(&m.ports[side][i].route, s.CPUs); err != nil {
				return err
			}
		}
	}
	h.generation.Add(1)
	return nil
}

// ready reports whether all threads stand by.
func (m *memory) ready() bool {
	for side := range m.bells {
		for i := range m.bells[side] {
			if m.bells[side][i].tid.Load() == 0 {
				return false
			}
		}
	}
	return m.head.hardware.Load() == 1
}
