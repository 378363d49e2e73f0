package copylab

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// batchSeconds is the length of a batch to aim at: long against the timer's cost, short
// against a scheduler's slice.
const batchSeconds = 12e-6

// quantiles are of the cycles a call of one method.
type quantiles struct{ p10, p50, p90, ns float64 }

// quantilesOf sorts its arguments; ns may be empty.
func quantilesOf(v, ns []float64) quantiles {
	slices.Sort(v)
	slices.Sort(ns)
	at := func(v []float64, q float64) float64 {
		if len(v) == 0 {
			return 0
		}
		return v[int(q*float64(len(v)-1)+0.5)]
	}
	return quantiles{at(v, 0.1), at(v, 0.5), at(v, 0.9), at(ns, 0.5)}
}

// ratio samples the core's clock: core cycles a tick; 1 where they are not known.
func (l *lab) ratio() float64 {
	r := cycles.CoreRatio()
	if r == 0 {
		return 1
	}
	l.ratios = append(l.ratios, r)
	return r
}

// smooth spreads equal readings of a counter that advances in steps evenly over the
// step, so that quantiles of many readings are finer than one reading.
func smooth(v []float64, step float64) {
	slices.Sort(v)
	for i := 0; i < len(v); {
		j, reading := i, v[i]
		for j < len(v) && v[j]-reading < step/2 {
			j++
		}
		for k := i; k < j; k++ {
			v[k] = max(0, reading+step*((float64(k-i)+0.5)/float64(j-i)-0.5))
		}
		i = j
	}
}

// interleave runs one batch of each method in turn, rounds times, and returns the
// quantiles of cycles a call. batch returns ticks and calls of one batch.
func (l *lab) interleave(ms []method, rounds int, batch func(m *method) (ticks uint64, calls int)) ([]quantiles, error) {
	values := make([][]float64, len(ms))
	ns := make([][]float64, len(ms))
	cpu, wall := threadTime(), time.Now()
	for round := range rounds {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
		ratio := l.ratio()
		for j := range ms {
			i := (j + round) % len(ms) // nobody always follows the same neighbour
			ticks, calls := batch(&ms[i])
			per := float64(ticks) / float64(calls)
			values[i] = append(values[i], per*ratio)
			ns[i] = append(ns[i], 1e9*l.clock.Seconds(per))
		}
	}
	l.cpuTime += threadTime() - cpu
	l.wallTime += time.Since(wall)
	out := make([]quantiles, len(ms))
	for i := range out {
		if l.singles && l.clock.Granularity > 1 && len(l.ratios) > 0 {
			smooth(values[i], float64(l.clock.Granularity)*l.ratios[len(l.ratios)-1])
		}
		out[i] = quantilesOf(values[i], ns[i])
	}
	return out, nil
}

// loops measures methods in a loop over the buffers of a place.
func (l *lab) loops(ms []method, p *place, dst []byte, n, rounds int) ([]quantiles, error) {
	calls := make(map[string]int, len(ms))
	for i := range ms {
		at := p.take(1)
		ms[i].loop(dst, l.mem.src, at, n)
		at = p.take(1)
		first := l.clock.Seconds(float64(ms[i].loop(dst, l.mem.src, at, n)))
		calls[ms[i].name] = min(max(int(batchSeconds/first), 1), batchCalls)
		if n <= 65536 {
			calls[ms[i].name] = max(calls[ms[i].name], 8)
		}
	}
	if p.state == Written { // waiting for the peer is no contention
		cpu, wall := l.cpuTime, l.wallTime
		defer func() { l.cpuTime, l.wallTime = cpu, wall }()
	}
	return l.interleave(ms, rounds, func(m *method) (uint64, int) {
		if p.state != Long || n <= 1<<20 {
			l.settle(dst)
		}
		if p.state == HotL1 || p.state == Long && n <= 1<<20 {
			m.loop(dst, l.mem.src, p.take(2), n)
		}
		at := p.take(calls[m.name])
		if p.state == Written {
			l.peer.write(l.mem.src, at, n)
		}
		return m.loop(dst, l.mem.src, at, n), len(at)
	})
}

// settle undoes what the method before may have left behind: a destination put out
// of the caches by non-temporal stores, and stores still under way.
func (l *lab) settle(dst []byte) {
	clear(dst)
	cycles.StopDrained()
}

// add puts one group of figures, which share everything but the method, into the
// report.
func (l *lab) add(part string, ms []method, q []quantiles, n, src, dst int, s State, mode Mode) {
	best := map[memcopy.Family]float64{}
	for i, m := range ms {
		if b, ok := best[m.family]; !ok || q[i].p50 < b {
			best[m.family] = q[i].p50
		}
	}
	for i, m := range ms {
		l.report.Cells = append(l.report.Cells, Cell{
			Part: part, Method: m.name, Family: string(m.family), Bytes: n, Src: src, Dst: dst, State: s, Mode: mode,
			P10: q[i].p10, P50: q[i].p50, P90: q[i].p90, Nanoseconds: q[i].ns,
			ToBest: q[i].p50 / best[m.family], ToRoof: l.toRoof(q[i].p50, m.family, n, s),
		})
	}
}

// rounds scales the rounds of a quick run to this one.
func (l *lab) rounds(n int) int {
	if !l.cfg.Quick {
		n *= 3
	}
	return n
}

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func (l *lab) costs() error {
	empty := method{name: "empty", family: memcopy.FamilyCopy}
	f := emptyRoutine
	empty.loop = func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			f(dst, src[o:][:n])
		}
		return cycles.Stop() - t
	}
	q, err := l.loops([]method{empty}, l.place(HotL1, 64, 0), l.mem.dst, 64, l.rounds(17))
	if err != nil {
		return err
	}
	l.report.Costs = Costs{Timer: float64(l.clock.Overhead) * l.ratio(), Call: q[0].p50}
	return nil
}

// emptyRoutine is called through a variable, as the routines are.
var emptyRoutine = func(dst, src []byte) int { return min(len(dst), len(src)) }
