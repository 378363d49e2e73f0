package copylab

// place deals out source offsets in one state. Consecutive calls of next go round a
// region, so that each buffer was last touched a whole round ago.
type place struct {
	state State
	at    []uint32 // a round, in its order
	next  int
}

// take returns k offsets and moves on.
func (p *place) take(k int) []uint32 {
	if p.next+k > len(p.at) {
		p.next = 0
	}
	if k > len(p.at) {
		k = len(p.at)
	}
	got := p.at[p.next : p.next+k]
	p.next += k
	return got
}

// batchCalls is how many calls a batch may have at most.
const batchCalls = 512

// place lays buffers of n bytes at the given offset modulo 64 over the region of a
// state.
func (l *lab) place(s State, n, offset int) *place {
	p := &place{state: s}
	region, random := 0, true
	switch s {
	case HotL1, Long:
		p.at = make([]uint32, batchCalls)
		for i := range p.at {
			p.at[i] = uint32(offset)
		}
		return p
	case FromL2:
		region = l.mem.l2 / 2
	case FromL3:
		region = min(4*l.mem.l2, l.mem.l3/2)
	case FromRAM:
		region, random = l.mem.ram, false
	case Pool:
		region = l.mem.ram
	case Written:
		region = l.mem.l2 / 2
	}
	// A slot is at least 2 KiB, a driver's usual buffer, and an odd number of lines
	// longer than the packet, so that buffers do not fall on the same cache sets.
	slot := max((n+offset+63)/64*64, 2048) + 64
	count := min(max(region/slot, 2), (len(l.mem.src)-offset-n)/slot)
	p.at = make([]uint32, count)
	for i := range p.at {
		p.at[i] = uint32(i*slot + offset)
	}
	if random {
		l.rng.Shuffle(count, func(i, j int) { p.at[i], p.at[j] = p.at[j], p.at[i] })
	}
	if s == FromL2 || s == FromL3 {
		warm(l.mem.src[:count*slot])
	}
	return p
}
