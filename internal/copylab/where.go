package copylab

import (
	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// wherePackets is how many packets go from one CPU to the other at a time: a NAPI
// budget.
const wherePackets = 64

// The ways of the paper's Figure 4.
const (
	whereSplit = "checksum on A, copy on B"
	whereTwo   = "both on B, two passes"
	whereFused = "fused on B"
	whereAhead = "fused on B, prefetching"
)

// where repeats section 2.3: packets arrive, are checksummed and copied to the user;
// checksum on CPU A and copy on B (interrupt and process on different CPUs), both on
// B, or both on B in one pass (the paper's csum_copy_patch).
func (l *lab) where() error {
	if l.peer == nil {
		l.warn("one-cpu", "where to checksum was left out: it takes a second CPU; allow the process one (taskset, cpuset)")
		return nil
	}
	arrivals := []struct {
		name string
		make func(at []uint32)
	}{
		{"dram", func(at []uint32) {
			for _, o := range at {
				cycles.Flush(l.mem.src[o:][:packet])
			}
		}},
		{"written", func(at []uint32) { l.peer.write(l.mem.src, at, packet) }},
	}
	ways := []struct {
		name string
		run  func(at []uint32, dst []byte) (a, b uint64)
	}{
		{whereSplit, func(at []uint32, dst []byte) (uint64, uint64) {
			a := l.peer.sum(l.mem.src, at, packet)
			return a, loopBestCopy(dst, l.mem.src, at, packet)
		}},
		{whereTwo, func(at []uint32, dst []byte) (uint64, uint64) {
			b := loopBestSum(dst, l.mem.src, at, packet)
			return 0, b + loopBestCopy(dst, l.mem.src, at, packet)
		}},
		{"both on B, packet by packet", func(at []uint32, dst []byte) (uint64, uint64) {
			t := cycles.Start()
			for _, o := range at {
				src := l.mem.src[o:][:packet]
				sink += uint64(memcopy.Sum(src))
				memcopy.Copy(dst, src)
			}
			return 0, cycles.Stop() - t
		}},
		{whereFused, func(at []uint32, dst []byte) (uint64, uint64) {
			return 0, loopBestFused(dst, l.mem.src, at, packet)
		}},
		{whereAhead, func(at []uint32, dst []byte) (uint64, uint64) {
			return 0, loopFusedAhead(dst, l.mem.src, at, packet)
		}},
	}
	dst := l.mem.dst[:packet:packet]
	for _, arrival := range arrivals {
		place := l.place(Pool, packet, 66)
		values := make([][3][]float64, len(ways))
		for range l.rounds(41) {
			if err := l.ctx.Err(); err != nil {
				return err
			}
			ratio := l.ratio()
			for i, w := range ways {
				at := place.take(wherePackets)
				arrival.make(at)
				a, b := w.run(at, dst)
				per := ratio / float64(len(at))
				for j, v := range []float64{float64(a), float64(b), float64(a + b)} {
					values[i][j] = append(values[i][j], v*per)
				}
			}
		}
		for i, w := range ways {
			total := quantilesOf(values[i][2], nil)
			l.report.Where = append(l.report.Where, WhereRow{
				Arrival: arrival.name, Way: w.name, Total: total.p50, P10: total.p10, P90: total.p90,
				OnA: quantilesOf(values[i][0], nil).p50, OnB: quantilesOf(values[i][1], nil).p50,
			})
		}
	}
	return nil
}
