package main

import (
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/cycles"
)

// memory is mapped apart from Go's heap, in huge pages where the system grants them;
// dst begins half a page off src, modulo pages, so that loads do not wait for stores
// to the same low address bits.
type memory struct {
	src, dst []byte
}

const (
	packet = 1448
	offset = 66   // of the payload behind Ethernet, IP and TCP with timestamps
	slot   = 2112 // a packet buffer: an odd number of lines
)

func newMemory() (*memory, error) {
	mapped := func(n int) ([]byte, error) {
		b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return nil, err
		}
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
		for i := range b {
			b[i] = byte(i * 7)
		}
		return b, nil
	}
	src, err := mapped(160 << 20)
	if err != nil {
		return nil, err
	}
	dst, err := mapped(65 << 20)
	if err != nil {
		return nil, err
	}
	return &memory{src, dst[2048:]}, nil
}

func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// round returns the source offsets of a state, in order: "hot", "l3" (4 MiB in random
// order), "dram" (128 MiB one after the other) or "pool" (the same at random).
func (m *memory) round(state string, n, off int) []uint32 {
	if state == "hot" {
		return slices.Repeat([]uint32{uint32(off)}, 512)
	}
	bytes := 128 << 20
	if state == "l3" {
		bytes = 4 << 20
	}
	step := max(slot, (n+off+127)/64*64)
	at := make([]uint32, bytes/step)
	for i := range at {
		at[i] = uint32(i*step + off)
	}
	if state != "dram" {
		rand.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	}
	return at
}

// loop runs a method once for each offset and returns the ticks that it took.
type loop struct {
	name string
	run  func(dst, src []byte, at []uint32, n int) uint64
}

// medians interleaves batches of the loops, rounds times, and returns the median core
// cycles a call of each.
func (m *memory) medians(loops []loop, state string, n, src, dst, rounds int) []float64 {
	at := m.round(state, n, src)
	calls := min(max(100000/max(n, 100), 4), 256) // 69 packets: about a NAPI budget
	if n > 1<<20 {
		calls = 1
	}
	d := m.dst[dst:][:n:n]
	values := make([][]float64, len(loops))
	next := 0
	take := func(k int) []uint32 {
		if next+k > len(at) {
			next = 0
		}
		next += k
		return at[next-k : next]
	}
	for round := range rounds {
		ratio := cycles.CoreRatio()
		if ratio == 0 {
			ratio = 1
		}
		for j := range loops {
			i := (j + round) % len(loops)
			if state == "hot" {
				loops[i].run(d, m.src, take(2), n)
			} else {
				clear(d)
			}
			cycles.StopDrained()
			k := min(calls, len(at))
			values[i] = append(values[i], float64(loops[i].run(d, m.src, take(k), n))/float64(k)*ratio)
		}
	}
	out := make([]float64, len(loops))
	for i, v := range values {
		slices.Sort(v)
		out[i] = v[len(v)/2]
	}
	return out
}
