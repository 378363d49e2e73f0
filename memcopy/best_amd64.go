package memcopy

import "math"

// smallCopy is the length up to which the runtime's memmove is taken everywhere: it
// is entered without moving the arguments through memory, which is what counts there.
const smallCopy = 128

const whySmall = "short: the built-in copy's calling convention is cheaper than any loop (7 cycles against 11 at 64 bytes)"

// kind is the width of the routines that a CPU is served by.
type kind uint8

const (
	kindScalar  kind = iota // no AVX2
	kindAVX2                // AVX2, or AVX-512 without BMI2
	kindAVX512              // AVX-512, every maker
	kindRealign             // AVX-512 with VBMI and VNNI on AMD Zen 5 and later
)

// plan is what the fast paths look at.
type plan struct {
	kind       kind
	copyFrom   int // from this length on copies are ours; below, the runtime's
	stringFrom int // from this length on copies are REP MOVSB
	streamFrom int // from this length on copies go round the caches
}

var use = planFor(host)

// zen5 is the first AMD family with a 512-bit data path, on which the realigning
// routines and the string threshold were measured.
const zen5 = 0x1a

// realignTo is the length from which source and destination together exceed Zen 5's
// L1 cache of 48 KiB.
const realignTo = 24 << 10

// streamFrom is the length from which a copy of Zen 5 exceeds the 32 MiB of L3 that
// a group of its cores shares.
const streamFrom = 32 << 20

func planFor(c cpu) plan {
	p := plan{kind: kindScalar, copyFrom: math.MaxInt, stringFrom: math.MaxInt, streamFrom: math.MaxInt}
	switch {
	case c.has&(AVX512|VBMI|VNNI) == AVX512|VBMI|VNNI && c.vendor == "AuthenticAMD" && c.family >= zen5:
		p.kind, p.copyFrom = kindRealign, smallCopy+1
		if c.has&FSRM != 0 {
			p.stringFrom, p.streamFrom = realignTo, streamFrom
		}
	case c.has&AVX512 != 0:
		p.kind, p.copyFrom = kindAVX512, smallCopy+1
	case c.has&AVX2 != 0:
		p.kind = kindAVX2
		if c.vendor == "GenuineIntel" && c.has&(FSRM|ERMS) == FSRM|ERMS {
			p.copyFrom = 2048
		}
	}
	return p
}

// rulesFor puts the plan into words.
func rulesFor(c cpu, f Family) []rule {
	p := planFor(c)
	switch f {
	case FamilyCopy:
		return copyRules(p)
	case FamilyChecksum:
		return []rule{{math.MaxInt, [...]string{"sum-adc2", "sum-avx2", "sum-avx512", "sum-vnni"}[p.kind], [...]string{
			"no AVX2: two carry chains beat one by 1.4",
			"32-byte vectors: twice as fast as add-with-carry at 1448 bytes",
			"64-byte vectors: 1.2 to 1.5 times as fast as AVX2 at 1448 bytes (Intel Xeon, AMD Zen 5)",
			"dot products take two operations a vector where two sums take three: 1.1 times as fast as sum-avx512 at 1448 bytes (Zen 5)",
		}[p.kind]}}
	case FamilyFused:
		return []rule{{math.MaxInt, [...]string{"fused-adc", "fused-avx2", "fused-avx512", "fused-realign"}[p.kind], [...]string{
			"no AVX2: one pass by add-with-carry",
			"32-byte vectors: 2.6 times as fast as add-with-carry at 1448 bytes",
			"64-byte vectors: 1.2 times memmove's time at 1448 bytes, 3 times as fast as add-with-carry",
			"aligned loads and stores with permutations between: 1.2 times as fast as fused-avx512 where the source is not aligned (Zen 5)",
		}[p.kind]}}
	}
	return nil
}

func copyRules(p plan) []rule {
	const (
		whyRuntime = "the runtime's AVX loop is as fast as any of these here"
		whyCliff   = "from 2048 bytes on the runtime uses REP MOVSQ on Intel CPUs with FSRM, which is some 6 times slower where the source is not 8-aligned"
	)
	switch p.kind {
	case kindScalar:
		return []rule{{math.MaxInt, "memmove", "no AVX2: " + whyRuntime}}
	case kindAVX2:
		if p.copyFrom == math.MaxInt {
			return []rule{{math.MaxInt, "memmove", whyRuntime}}
		}
		return []rule{{p.copyFrom - 1, "memmove", whyRuntime}, {math.MaxInt, "avx2", whyCliff}}
	case kindAVX512:
		return []rule{
			{smallCopy, "memmove", whySmall},
			{math.MaxInt, "avx512", "64-byte vectors take 30 cycles at 1448 bytes, memmove 37 to 47 (Intel Xeon), at any offset; longer copies were not measured on this CPU"},
		}
	}
	rules := []rule{{smallCopy, "memmove", whySmall}}
	mid := rule{math.MaxInt, "avx512-realign", "aligned loads and stores with permutations between: 35 cycles at 1448 bytes from any offset, avx512 40 to 46, memmove 52 (Zen 5); up to 512 bytes it moves without a loop, 20 cycles where avx512 takes 27"}
	if p.stringFrom == math.MaxInt {
		return append(rules, mid)
	}
	mid.upTo = p.stringFrom - 1
	return append(rules, mid,
		rule{p.streamFrom - 1, "rep-movsb", "source and destination together exceed the L1 cache: string copy does not read the destination first, 1.3 times as fast as vector loops from there to 16 MiB (Zen 5)"},
		rule{math.MaxInt, "avx512-nt", "source and destination exceed the L3 cache: stores round the caches are 1.2 times as fast as string copy at 64 MiB (Zen 5)"})
}
