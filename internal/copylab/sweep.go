package copylab

// The sweeps. Sizes are bytes; offsets are from a cache line's start.
var (
	offsetSizes = []int{64, 128, 256, 512, 1024, packet, 2048, 4096, 8192, 16384}
	offsetPairs = [][2]int{{0, 0}, {1, 0}, {2, 0}, {4, 0}, {8, 0}, {16, 0}, {32, 0}, {0, 1}, {0, 4}, {0, 16}, {2, 7}, {33, 33}}

	stateSizes = []int{64, 256, packet, 4096, 8948, 16384}
	states     = []State{FromL2, FromL3, FromRAM, Pool, Written}

	longSizes   = []int{32 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
	longOffsets = [][2]int{{0, 0}, {2, 0}}
)

// sweepOffsets covers packet-like sizes at pairs of offsets, hot in L1.
func (l *lab) sweepOffsets() error {
	for _, n := range offsetSizes {
		for _, o := range offsetPairs {
			q, err := l.loops(l.methods, l.place(HotL1, n, o[0]), l.mem.dst[o[1]:][:n:n], n, l.rounds(9))
			if err != nil {
				return err
			}
			l.add("offsets", l.methods, q, n, o[0], o[1], HotL1, Loop)
		}
	}
	return nil
}

// sweepStates covers the places where a source can be.
func (l *lab) sweepStates() error {
	for _, s := range states {
		if s == Written && l.peer == nil {
			l.warn("one-cpu", "state 'written' was left out: it takes a second CPU; allow the process one (taskset, cpuset)")
			continue
		}
		for _, n := range stateSizes {
			for _, src := range []int{0, 2} {
				q, err := l.loops(l.methods, l.place(s, n, src), l.mem.dst[:n:n], n, l.rounds(7))
				if err != nil {
					return err
				}
				l.add("states", l.methods, q, n, src, 0, s, Loop)
			}
		}
	}
	return nil
}

// sweepLong covers copies from and to memory as long as themselves.
func (l *lab) sweepLong() error {
	for _, n := range longSizes {
		if n+64 > len(l.mem.dst) || l.cfg.Quick && n > 1<<20 {
			break
		}
		rounds := 9
		if n > 4<<20 {
			rounds = 3
		}
		for _, o := range longOffsets {
			p := l.place(Long, n, o[0])
			q, err := l.loops(l.methods, p, l.mem.dst[o[1]:][:n:n], n, rounds)
			if err != nil {
				return err
			}
			l.add("long", l.methods, q, n, o[0], o[1], Long, Loop)
		}
	}
	return nil
}
