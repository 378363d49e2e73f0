package stacklab

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack"
)

// SegmentBytes is the payload of a full segment at MTU 1500 with timestamps: what Table 6
// of the paper is about.
const SegmentBytes = 1448

// CopyCost is what the copy of one segment of [SegmentBytes] costs inside the receive path.
type CopyCost struct {
	Routine string `json:"routine"` // of package memcopy; "auto": what the stack chooses itself
	Fused   bool   `json:"fused"`   // it sums too: checksums are verified in the reader
	Aligned bool   `json:"aligned"` // the receive buffer was, as the technique has it
	// SourceOffset is where the payload begins from a multiple of 64 bytes, and
	// DestinationOffset where the reader's bytes do, in most samples.
	SourceOffset      int `json:"source_offset_bytes"`
	DestinationOffset int `json:"destination_offset_bytes"`
	Samples           int `json:"samples"`
	// Core cycles, without the timer's own. Mean leaves the slowest hundredth out, into
	// which interrupts fall. Where the counter advances in large steps (Clock) single
	// readings fall on them, and the mean alone is finer.
	P10         float64 `json:"p10_cycles"`
	P50         float64 `json:"p50_cycles"`
	P90         float64 `json:"p90_cycles"`
	Mean        float64 `json:"mean_cycles"`
	Nanoseconds float64 `json:"mean_nanoseconds"`

	ticks []uint32
	src   [64]int
	dst   [64]int
}

// Table6 is the paper's, in cycles of a 700 MHz Pentium III: MOVSD without and with
// alignment, and the integer copy without.
var Table6 = []struct {
	Routine string
	Aligned bool
	Cycles  float64
}{{"rep-movsl", false, 7000}, {"rep-movsl", true, 3000}, {"int32", false, 4000}}

// routines are what Table 6's counterpart compares: the paper's two, what the runtime
// does, and the best there is; with the checksum, Linux's own and the best.
var routines = []string{"rep-movsl", "int32", "rep-movsb", "memmove", "avx512", "auto", "fused-adc"}

// sampleEvery is the share of copies that is timed.
const sampleEvery = 8

// maxSamples bounds those of one run.
const maxSamples = 1 << 15

func (l *lab) copyCases() []oneCase {
	for _, name := range routines {
		r, ok := memcopy.Lookup(name)
		if name != "auto" && (!ok || r.Check() != nil) {
			continue
		}
		for _, aligned := range []bool{false, true} {
			if r.Family != memcopy.FamilyFused {
				l.report.Copies = append(l.report.Copies, CopyCost{Routine: name, Aligned: aligned})
			}
			if r.Family == memcopy.FamilyFused || name == "auto" {
				l.report.Copies = append(l.report.Copies, CopyCost{Routine: name, Fused: true, Aligned: aligned})
			}
		}
	}
	rounds := 3
	if l.cfg.Quick {
		rounds = 1
	}
	var out []oneCase
	for range rounds {
		for i := range l.report.Copies {
			c := &l.report.Copies[i]
			out = append(out, oneCase{
				what: fmt.Sprintf("copies by %s, %s", c.Name(), AlignedName(c.Aligned)),
				run:  func(ctx context.Context) error { return l.copies(ctx, c) },
			})
		}
	}
	return out
}

// Name is the routine, and whether it sums too.
func (c *CopyCost) Name() string {
	if c.Fused && c.Routine == "auto" {
		return "auto, fused"
	}
	return c.Routine
}

// AlignedName is the state of the receive buffer in words.
func AlignedName(aligned bool) string {
	if aligned {
		return "aligned"
	}
	return "not aligned"
}

// copies times copies of one stream.
func (l *lab) copies(ctx context.Context, c *CopyCost) error {
	techniques := map[string]string{"copy": c.Routine}
	if c.Fused {
		techniques = map[string]string{"fused": c.Routine, "checksum": "reader"}
	}
	if c.Aligned {
		techniques["align"] = "on"
	}
	var t ustack.Techniques
	for name, value := range techniques {
		if err := t.Set(name, value); err != nil {
			return err
		}
	}
	s := &sampler{fused: c.Fused, ticks: make([]uint32, 0, maxSamples)}
	stream, err := l.start(ctx, 1500, t, s.around)
	if err != nil {
		return err
	}
	if err := l.measure(ctx, stream, func() { l.ratios = append(l.ratios, cycles.CoreRatio()) }); err != nil {
		_ = stream.stop()
		return err
	}
	if err := stream.stop(); err != nil {
		return err
	}
	c.ticks = append(c.ticks, s.ticks...)
	for i := range s.src {
		c.src[i] += s.src[i]
		c.dst[i] += s.dst[i]
	}
	return nil
}

// sampler times one copy of a segment in a few. It serves one reader.
type sampler struct {
	fused    bool // which copies to time
	n        int
	ticks    []uint32
	src, dst [64]int
}

func (s *sampler) around(fused bool, plain func(dst, src []byte) int) func(dst, src []byte) int {
	if fused != s.fused {
		return plain
	}
	return func(dst, src []byte) int {
		s.n++
		if s.n%sampleEvery != 0 || len(src) != SegmentBytes || len(dst) < SegmentBytes || len(s.ticks) == cap(s.ticks) {
			return plain(dst, src)
		}
		begin := cycles.Start()
		n := plain(dst, src)
		spent := cycles.Stop() - begin
		s.ticks = append(s.ticks, uint32(min(spent, 1<<32-1)))
		s.src[lineOffset(src)]++
		s.dst[lineOffset(dst)]++
		return n
	}
}

// timerCost is what the timer itself takes, in ticks: the mean of empty pairs of readings
// without the slowest hundredth, as the counter's steps are larger than it may be.
func timerCost() float64 {
	pairs := make([]uint32, 4096)
	for i := range pairs {
		begin := cycles.Start()
		pairs[i] = uint32(cycles.Stop() - begin)
	}
	slices.Sort(pairs)
	return trimmedMean(pairs)
}

// trimmedMean is the mean of what is sorted, without the largest hundredth.
func trimmedMean(sorted []uint32) float64 {
	sum := 0.0
	kept := sorted[:max(1, len(sorted)*99/100)]
	for _, t := range kept {
		sum += float64(t)
	}
	return sum / float64(len(kept))
}

// finishCopies makes figures of samples.
func (l *lab) finishCopies() {
	r := l.report
	slices.Sort(l.ratios)
	r.CoreCyclesPerTick = l.ratios[len(l.ratios)/2]
	perTick := r.CoreCyclesPerTick
	if perTick == 0 {
		perTick = 1
	}
	for i := range r.Copies {
		c := &r.Copies[i]
		slices.Sort(c.ticks)
		if c.Samples = len(c.ticks); c.Samples == 0 {
			l.warn("no-samples", "no whole segment was copied at once by %s, %s", c.Routine, AlignedName(c.Aligned))
			continue
		}
		cost := func(ticks float64) float64 { return perTick * max(0, ticks-r.TimerTicks) }
		at := func(share float64) float64 { return cost(float64(c.ticks[int(share*float64(c.Samples-1))])) }
		c.P10, c.P50, c.P90 = at(0.1), at(0.5), at(0.9)
		c.Mean = cost(trimmedMean(c.ticks))
		c.Nanoseconds = 1e9 * r.Clock.Seconds(c.Mean/perTick)
		c.SourceOffset, c.DestinationOffset = mostCommon(c.src[:]), mostCommon(c.dst[:])
	}
	r.Copies = slices.DeleteFunc(r.Copies, func(c CopyCost) bool { return c.Samples == 0 })
}

func mostCommon(counts []int) int {
	return slices.Index(counts, slices.Max(counts))
}
