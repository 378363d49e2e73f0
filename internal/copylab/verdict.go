package copylab

import (
	"fmt"
	"math"
	"strings"

	"github.com/stackmeter/stackmeter/memcopy"
)

// verdicts says in words what the figures mean, for this CPU and no other.
func verdicts(r *Report) []Verdict {
	var out []Verdict
	say := func(code, format string, args ...any) {
		out = append(out, Verdict{code, fmt.Sprintf(format, args...)})
	}
	stringAgainstInteger(r, say)
	fastestCopy(r, say)
	runtimeCopy(r, say)
	folding(r, say)
	prefetching(r, say)
	whereToSum(r, say)
	modes(r, say)
	ownBest(r, say)
	return out
}

type sayer func(code, format string, args ...any)

// stringAgainstInteger is the question of the paper's Table 5.
func stringAgainstInteger(r *Report, say sayer) {
	var parts []string
	before := ""
	for _, a := range alignments {
		movs, integer := r.cell("table5", "rep-movsl", packet, a.offset, 0, HotL1), r.cell("table5", "int32", packet, a.offset, 0, HotL1)
		if movs == nil || integer == nil {
			return
		}
		winner, by := "string copy", integer.P50/movs.P50
		if by < 1 {
			winner, by = "the unrolled integer copy", 1/by
		}
		if winner == before {
			winner = "again"
		} else {
			before = winner
			winner += " wins"
		}
		parts = append(parts, fmt.Sprintf("%s by %.1f with the source at +%d (%.0f against %.0f cycles)", winner, by, a.offset, min(movs.P50, integer.P50), max(movs.P50, integer.P50)))
	}
	say("string-or-integer", "MOVSD against the paper's integer copy, %d bytes hot: %s. In 2002 string copy won when aligned and integer when not (Table 5: 2378 against 1613, 1235 against 1703 MB/s).", packet, strings.Join(parts, "; "))
}

func fastestCopy(r *Report, say sayer) {
	aligned, behind := r.bestOf("table5", memcopy.FamilyCopy, packet, 0, 0, HotL1), r.bestOf("table5", memcopy.FamilyCopy, packet, 66, 0, HotL1)
	goAligned, goBehind := r.cell("table5", "memmove", packet, 0, 0, HotL1), r.cell("table5", "memmove", packet, 66, 0, HotL1)
	if aligned == nil || behind == nil || goAligned == nil || goBehind == nil {
		return
	}
	own := ""
	if a, b := r.cell("table5", bestCopy, packet, 0, 0, HotL1), r.cell("table5", bestCopy, packet, 66, 0, HotL1); a != nil && b != nil {
		own = fmt.Sprintf(" memcopy.Copy, called as a program would, takes %.0f and %.0f.", a.P50, b.P50)
	}
	say("fastest-copy", "The fastest routine for %d bytes, called through the table, is %s when aligned (%.0f cycles; Go's copy %.0f) and %s behind headers, source at +66 (%.0f; Go's %.0f).%s",
		packet, aligned.Method, aligned.P50, goAligned.P50, behind.Method, behind.P50, goBehind.P50, own)
}

// runtimeCopy looks for the fall of Go's copy where REP MOVSQ meets a source that is
// not 8-aligned.
func runtimeCopy(r *Report, say sayer) {
	worst, at := 0.0, 0
	var text []string
	for _, n := range []int{4096, 8192, 16384} {
		even, odd, best := r.cell("offsets", "memmove", n, 0, 0, HotL1), r.cell("offsets", "memmove", n, 2, 0, HotL1), r.cell("offsets", bestCopy, n, 2, 0, HotL1)
		if even == nil || odd == nil || best == nil {
			return
		}
		if fall := odd.P50 / even.P50; fall > worst {
			worst, at = fall, n
		}
		text = append(text, fmt.Sprintf("%d B: %.0f cycles aligned, %.0f at +2, this package %.0f", n, even.P50, odd.P50, best.P50))
	}
	figures := strings.Join(text, "; ")
	fsrm := strings.Contains(r.Machine.Features, "FSRM") && r.Machine.Vendor == "GenuineIntel"
	switch {
	case worst > 2:
		say("go-copy-cliff", "Go's own copy is weak here: from 2048 bytes on, with the destination 16-aligned, it uses REP MOVSQ, which takes %.1f times as long at %d bytes when the source is not 8-aligned (%s). GODEBUG=cpu.fsrm=off (or cpu.erms=off) makes it use its AVX loop.", worst, at, figures)
	case fsrm:
		say("go-copy", "Go's own copy may use REP MOVSQ on this CPU, but does not suffer from an unaligned source now (GODEBUG=%q): %s.", r.Machine.GODEBUG, figures)
	default:
		extra := ""
		if q0, q2 := r.cell("offsets", "rep-movsq", 4096, 0, 0, HotL1), r.cell("offsets", "rep-movsq", 4096, 2, 0, HotL1); q0 != nil && q2 != nil {
			extra = fmt.Sprintf(" REP MOVSQ itself takes %.2f times as long here at 4096 bytes with the source at +2.", q2.P50/q0.P50)
		}
		say("go-copy", "Go's own copy does not fall off a cliff here: the runtime takes REP MOVSQ on Intel CPUs with FSRM only (%s).%s", figures, extra)
	}
}

// folding compares the best single pass with the best two passes, state by state.
func folding(r *Report, say sayer) {
	var pays, not []string
	for _, s := range append([]State{HotL1}, states...) {
		part := "states"
		if s == HotL1 {
			part = "offsets"
		}
		two, one := r.cell(part, "two-pass", packet, 2, 0, s), r.cell(part, bestFused, packet, 2, 0, s)
		if two == nil || one == nil {
			continue
		}
		text := fmt.Sprintf("%s %.2f (%.0f for %.0f cycles)", s, two.P50/one.P50, one.P50, two.P50)
		if two.P50/one.P50 > 1.05 {
			pays = append(pays, text)
		} else {
			not = append(not, text)
		}
	}
	switch {
	case len(pays) == 0 && len(not) == 0:
	case len(pays) == 0:
		say("folding", "Folding the checksum into the copy of %d bytes does not pay here: %s.", packet, strings.Join(not, ", "))
	case len(not) == 0:
		say("folding", "Folding the checksum into the copy of %d bytes pays wherever the source is; times as fast as checksum then copy: %s.", packet, strings.Join(pays, ", "))
	default:
		say("folding", "Folding the checksum into the copy of %d bytes pays, times as fast as checksum then copy: %s; it does not from %s.", packet, strings.Join(pays, ", "), strings.Join(not, ", "))
	}
}

// prefetching compares the fused pass over a bunch of packets with and without asking
// for them ahead.
func prefetching(r *Report, say sayer) {
	var text []string
	for _, s := range append([]State{HotL1}, states...) {
		part := "states"
		if s == HotL1 {
			part = "offsets"
		}
		plain, ahead := r.cell(part, bestFused, packet, 2, 0, s), r.cell(part, fusedAhead, packet, 2, 0, s)
		if plain != nil && ahead != nil {
			text = append(text, fmt.Sprintf("%s %.0f for %.0f cycles (%s)", s, ahead.P50, plain.P50, change(ahead.P50, plain.P50)))
		}
	}
	if len(text) > 0 {
		say("prefetch", "Asking for a packet %d packets before its turn, in a bunch: %s.", prefetchDistance, strings.Join(text, ", "))
	}
}

func whereToSum(r *Report, say sayer) {
	for _, arrival := range []string{"dram", "written"} {
		var split, two, fused, ahead float64
		unsteady := ""
		for _, w := range r.Where {
			if w.Arrival != arrival {
				continue
			}
			if w.P90-w.P10 > 0.5*w.Total {
				unsteady += fmt.Sprintf(" Unsteady, do not lean on it: %s, %.0f to %.0f.", w.Way, w.P10, w.P90)
			}
			switch w.Way {
			case whereSplit:
				split = w.Total
			case whereTwo:
				two = w.Total
			case whereFused:
				fused = w.Total
			case whereAhead:
				ahead = w.Total
			}
		}
		if split == 0 || two == 0 || fused == 0 || ahead == 0 {
			continue
		}
		source := map[string]string{"dram": "from memory", "written": "written by the other CPU"}[arrival]
		say("where-"+arrival, "A packet that arrives %s costs %.0f cycles checksummed on CPU A and copied on B, %.0f with both on B (%s), %.0f in one pass on B (%s), %.0f in one pass with packets prefetched (%s).%s",
			source, split, two, change(two, split), fused, change(fused, split), ahead, change(ahead, split), unsteady)
	}
}

func change(now, before float64) string { return fmt.Sprintf("%+.0f %%", 100*(now/before-1)) }

// modes names the methods whose standing against Go's copy depends on the mode.
func modes(r *Report, say sayer) {
	var text []string
	base, baseLoop := r.cell("table6", "memmove", packet, 66, 0, HotL1), r.cell("table5", "memmove", packet, 66, 0, HotL1)
	if base == nil || baseLoop == nil {
		return
	}
	for _, c := range r.Cells {
		if c.Part != "table6" || c.State != HotL1 || c.Src != 66 || c.Method == "memmove" {
			continue
		}
		l := r.cell("table5", c.Method, packet, 66, 0, HotL1)
		if l == nil {
			continue
		}
		single, loop := c.P50/base.P50, l.P50/baseLoop.P50
		if math.Abs(math.Log(single/loop)) > math.Log(1.25) {
			text = append(text, fmt.Sprintf("%s (%.2f in a loop, %.2f alone)", c.Method, loop, single))
		}
	}
	if len(text) == 0 {
		say("modes", "Throughput in a loop and single shots agree within 25 %% on every copy's time relative to Go's, %d bytes hot at +66.", packet)
		return
	}
	say("modes", "Loop and single shot differ by more than 25 %% in the time relative to Go's copy, %d bytes hot at +66: %s.", packet, strings.Join(text, ", "))
}

// ownBest holds the package's own choice against everything measured.
func ownBest(r *Report, say sayer) {
	worst, cells := Cell{}, 0
	for _, c := range r.Cells {
		if c.Method != bestCopy || c.Mode != Loop {
			continue
		}
		best := r.bestOf(c.Part, memcopy.FamilyCopy, c.Bytes, c.Src, c.Dst, c.State)
		if best == nil {
			continue
		}
		cells++
		if ratio := c.P50 / best.P50; ratio > worst.ToBest {
			worst = c
			worst.ToBest = ratio
		}
	}
	if cells > 0 {
		say("own-choice", "memcopy.Copy is at worst %.2f times the fastest routine, of %d combinations of size, offsets and state (%d bytes, source +%d, destination +%d, %s).",
			worst.ToBest, cells, worst.Bytes, worst.Src, worst.Dst, worst.State)
	}
}
