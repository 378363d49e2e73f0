package copylab

import (
	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// method is a way to copy or sum that can be timed.
type method struct {
	name   string
	family memcopy.Family
	nt     bool // non-temporal: a single shot must wait for its stores
	// loop runs the method once for each offset at, on n bytes of src from there, and
	// returns the ticks that it took.
	loop func(dst, src []byte, at []uint32, n int) uint64
	// one runs it once.
	one func(dst, src []byte)
}

// The names of the three public functions, beside those of memcopy's table.
const (
	bestCopy  = "best copy"
	bestSum   = "best checksum"
	bestFused = "best fused"
	// fusedAhead is bestFused with memcopy.Prefetch of a packet whose turn comes later.
	fusedAhead = "fused, prefetch"
)

// methods returns Go's copy, the three public functions of memcopy, and every routine
// of its table that runs here.
func methods() []method {
	ms := []method{
		{name: "memmove", family: memcopy.FamilyCopy, loop: loopMemmove, one: func(dst, src []byte) { copy(dst, src) }},
		{name: bestCopy, family: memcopy.FamilyCopy, loop: loopBestCopy, one: func(dst, src []byte) { memcopy.Copy(dst, src) }},
		{name: bestSum, family: memcopy.FamilyChecksum, loop: loopBestSum, one: func(_, src []byte) { sink += uint64(memcopy.Sum(src)) }},
		{name: bestFused, family: memcopy.FamilyFused, loop: loopBestFused, one: func(dst, src []byte) {
			var p memcopy.Partial
			p.CopyAdd(dst, src)
			sink += uint64(p.Fold())
		}},
		{name: fusedAhead, family: memcopy.FamilyFused, loop: loopFusedAhead, one: func(dst, src []byte) {
			var p memcopy.Partial
			p.CopyAdd(dst, src)
			sink += uint64(p.Fold())
		}},
	}
	for _, r := range memcopy.Routines() {
		if !r.Available() || r.Name == "memmove" {
			continue
		}
		ms = append(ms, wrap(r))
	}
	return ms
}

func wrap(r memcopy.Routine) method {
	m := method{name: r.Name, family: r.Family, nt: r.NonTemporal}
	switch r.Family {
	case memcopy.FamilyCopy:
		f := r.Copy
		m.loop = func(dst, src []byte, at []uint32, n int) uint64 {
			t := cycles.Start()
			for _, o := range at {
				f(dst, src[o:][:n])
			}
			return stop(r.NonTemporal) - t
		}
		m.one = func(dst, src []byte) { f(dst, src) }
	case memcopy.FamilyChecksum:
		f := r.Sum
		m.loop = func(_, src []byte, at []uint32, n int) uint64 {
			t := cycles.Start()
			for _, o := range at {
				p := f(src[o:][:n])
				sink += uint64(p.Fold())
			}
			return cycles.Stop() - t
		}
		m.one = func(_, src []byte) { p := f(src); sink += uint64(p.Fold()) }
	default:
		f := r.CopySum
		m.loop = func(dst, src []byte, at []uint32, n int) uint64 {
			t := cycles.Start()
			for _, o := range at {
				_, p := f(dst, src[o:][:n])
				sink += uint64(p.Fold())
			}
			return cycles.Stop() - t
		}
		m.one = func(dst, src []byte) { _, p := f(dst, src); sink += uint64(p.Fold()) }
	}
	return m
}

// stop takes the closing stamp; non-temporal stores look free until they are waited
// for.
func stop(nt bool) uint64 {
	if nt {
		return cycles.StopDrained()
	}
	return cycles.Stop()
}

func loopMemmove(dst, src []byte, at []uint32, n int) uint64 {
	dst = dst[:n]
	t := cycles.Start()
	for _, o := range at {
		copy(dst, src[o:][:n])
	}
	return cycles.Stop() - t
}

func loopBestCopy(dst, src []byte, at []uint32, n int) uint64 {
	dst = dst[:n]
	t := cycles.Start()
	for _, o := range at {
		memcopy.Copy(dst, src[o:][:n])
	}
	return cycles.Stop() - t
}

func loopBestSum(_, src []byte, at []uint32, n int) uint64 {
	t := cycles.Start()
	for _, o := range at {
		sink += uint64(memcopy.Sum(src[o:][:n]))
	}
	return cycles.Stop() - t
}

func loopBestFused(dst, src []byte, at []uint32, n int) uint64 {
	dst = dst[:n]
	t := cycles.Start()
	for _, o := range at {
		var p memcopy.Partial
		p.CopyAdd(dst, src[o:][:n])
		sink += uint64(p.Fold())
	}
	return cycles.Stop() - t
}

// pick returns the methods of the given names, in that order.
func pick(ms []method, names ...string) []method {
	var out []method
	for _, n := range names {
		for _, m := range ms {
			if m.name == n {
				out = append(out, m)
			}
		}
	}
	return out
}

// prefetchDistance is how many packets ahead of their turn fusedAhead asks for them.
const prefetchDistance = 4

func loopFusedAhead(dst, src []byte, at []uint32, n int) uint64 {
	dst = dst[:n]
	t := cycles.Start()
	for i, o := range at {
		if i+prefetchDistance < len(at) {
			memcopy.Prefetch(src[at[i+prefetchDistance]:][:n])
		}
		var p memcopy.Partial
		p.CopyAdd(dst, src[o:][:n])
		sink += uint64(p.Fold())
	}
	return cycles.Stop() - t
}
