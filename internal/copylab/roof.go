package copylab

import (
	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// roofline measures loads alone and stores alone at every level.
func (l *lab) roofline() error {
	levels := []struct {
		state State
		bytes int
	}{
		{HotL1, 16 << 10},
		{FromL2, l.mem.l2 / 2},
		{FromL3, min(4*l.mem.l2, l.mem.l3/2)},
		{FromRAM, l.mem.ram},
	}
	// Stores go to the end of the source's memory, not to the destination: they
	// need as much room as loads.
	for _, level := range levels {
		rounds := l.rounds(11)
		if level.state == FromRAM {
			rounds = 3
		}
		r, err := l.bandwidth(readers(), level.bytes, rounds)
		if err != nil {
			return err
		}
		w, err := l.bandwidth(writers(), level.bytes, rounds)
		if err != nil {
			return err
		}
		l.report.Roof = append(l.report.Roof, Roof{Level: level.state, Read: r, Write: w})
	}
	return nil
}

// bandwidth returns the bytes a cycle of the fastest of some kernels over a region:
// of each the median of its rounds.
func (l *lab) bandwidth(kernels []func([]byte), bytes, rounds int) (float64, error) {
	ms := make([]method, len(kernels))
	for i, f := range kernels {
		ms[i].one = func(dst, _ []byte) { f(dst) }
	}
	region := l.mem.src[:bytes]
	reps := max(1, 64<<10/bytes)
	q, err := l.interleave(ms, rounds, func(m *method) (uint64, int) {
		m.one(region, nil)
		t := cycles.Start()
		for range reps {
			m.one(region, nil)
		}
		return cycles.Stop() - t, reps
	})
	if err != nil {
		return 0, err
	}
	best := 0.0
	for _, x := range q {
		best = max(best, float64(bytes)/x.p50)
	}
	return best, nil
}

// toRoof compares cycles with what the roofline allows: loads at the source's level
// beside stores into L1, or, for long copies, both at the level of the two together.
func (l *lab) toRoof(c float64, f memcopy.Family, n int, s State) float64 {
	roof := func(s State) Roof {
		for _, r := range l.report.Roof {
			if r.Level == s {
				return r
			}
		}
		return Roof{}
	}
	read, write := roof(s).Read, roof(HotL1).Write
	switch s {
	case Pool, Written:
		return 0 // bound by latency, which the roofline does not show
	case Long:
		level := l.level(2 * n)
		read, write = roof(level).Read, roof(level).Write
	}
	bound := min(read, write)
	if f == memcopy.FamilyChecksum {
		bound = read
	}
	if bound == 0 {
		return 0
	}
	return c * bound / float64(n)
}

// level is the nearest cache that holds n bytes.
func (l *lab) level(n int) State {
	for _, c := range l.report.Machine.Caches {
		if int64(n) <= c.Bytes {
			switch c.Level {
			case 1:
				return HotL1
			case 2:
				return FromL2
			default:
				return FromL3
			}
		}
	}
	return FromRAM
}
