package copylab

import (
	"runtime"
	"slices"

	"github.com/stackmeter/stackmeter/memcopy"
)

// finish draws the run's own quality and the verdicts from the figures.
func (l *lab) finish() {
	runtime.KeepAlive(&sink)
	r := l.report
	if len(l.ratios) > 0 {
		slices.Sort(l.ratios)
		hz := l.clock.TicksPerSecond
		n := len(l.ratios)
		r.Core = Core{MinHertz: hz * l.ratios[n/100], MedianHertz: hz * l.ratios[n/2], MaxHertz: hz * l.ratios[n-1-n/100], Samples: n, Known: true}
		if drift := (r.Core.MaxHertz - r.Core.MinHertz) / r.Core.MedianHertz; drift > 0.05 {
			l.warn("clock-drift", "the core's clock moved by %.0f %% during the run; cycles are corrected for it, seconds are not", 100*drift)
		}
	} else {
		l.warn("no-core-clock", "cycles of the core cannot be measured on this architecture: figures are nanoseconds")
	}
	if l.wallTime > 0 {
		r.Contention.CPUShare = min(1, l.cpuTime.Seconds()/l.wallTime.Seconds())
		if r.Contention.CPUShare < flagShare {
			l.warn("contended", "other work had CPU %d for %.0f %% of the time while it was measured", r.CPU, 100*(1-r.Contention.CPUShare))
		}
	}
	var spread []float64
	for _, c := range r.Cells {
		if c.Mode == Loop && (c.State == HotL1 || c.State == FromL2) {
			spread = append(spread, (c.P90-c.P10)/c.P50)
		}
	}
	if len(spread) > 0 {
		slices.Sort(spread)
		r.Contention.Spread = spread[len(spread)/2]
		if r.Contention.Spread > 0.25 {
			l.warn("spread", "loops in the near caches spread by %.0f %% (median): another hardware thread of the core, or a neighbour, is at work", 100*r.Contention.Spread)
		}
	}
	r.Verdicts = verdicts(r)
}

// cell finds one figure; nil if it was not measured.
func (r *Report) cell(part, method string, n, src, dst int, s State) *Cell {
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Part == part && c.Method == method && c.Bytes == n && c.Src == src && c.Dst == dst && c.State == s {
			return c
		}
	}
	return nil
}

// bestOf is the fastest method of a family in a group, the public functions left out.
func (r *Report) bestOf(part string, f memcopy.Family, n, src, dst int, s State) *Cell {
	var best *Cell
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Part != part || c.Family != string(f) || c.Bytes != n || c.Src != src || c.Dst != dst || c.State != s {
			continue
		}
		if c.Method == bestCopy || c.Method == bestSum || c.Method == bestFused || c.Method == fusedAhead || c.Method == "x87-double" {
			continue
		}
		if best == nil || c.P50 < best.P50 {
			best = c
		}
	}
	return best
}
