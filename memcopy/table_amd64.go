package memcopy

// table holds every routine, by family.
var table = build(host.has)

// build makes the table for a CPU that has the given features.
func build(has Features) []Routine {
	by := map[Family][]Routine{}
	for _, r := range portable() {
		by[r.Family] = append(by[r.Family], r)
	}
	var t []Routine
	t = append(t, by[FamilyCopy]...)
	t = append(t, copies()...)
	t = append(t, by[FamilyChecksum]...)
	t = append(t, checksums()...)
	t = append(t, by[FamilyFused]...)
	t = append(t, fusions()...)
	for i := range t {
		if t[i].Needs&^has != 0 {
			t[i].Copy, t[i].Sum, t[i].CopySum = nil, nil, nil
		}
	}
	return t
}

func copies() []Routine {
	entry := func(name string, needs Features, method string, f func(dst, src *byte, n uintptr)) Routine {
		return Routine{Name: name, Family: FamilyCopy, Needs: needs, Method: method, Lossless: true, Copy: copier(f)}
	}
	lossy := func(r Routine) Routine { r.Lossless = false; return r }
	nt := func(r Routine) Routine { r.NonTemporal = true; return r }
	return []Routine{
		entry("rep-movsb", X86, "REP MOVSB", copyRepMovsB),
		entry("rep-movsl", X86, "REP MOVSL, the paper's MOVSD: Linux 2.4's string copy", copyRepMovsL),
		entry("rep-movsq", X86, "REP MOVSQ, as the runtime's memmove uses it on Intel CPUs with FSRM", copyRepMovsQ),
		entry("int32", X86, "the paper's INTEGER: 32-bit registers, 64 bytes a turn, prefetching loads", copyInt32),
		entry("int64", X86, "64-bit registers, 64 bytes a turn", copyInt64),
		entry("x87", X86, "the Berkeley FLOATING POINT: FILD and FISTP, 64 bytes a turn", copyX87),
		lossy(entry("x87-double", X86, "FLD and FSTP of doubles: quietens signalling NaNs, not a copy", copyX87Double)),
		entry("xmm8", X86, "8 bytes an xmm register, 64 bytes a turn", copyXMM8),
		entry("sse2", X86, "16-byte vectors, destination aligned", copySSE2),
		entry("avx2", AVX2, "32-byte vectors, destination aligned", copyAVX2),
		entry("avx512", AVX512, "64-byte vectors, destination aligned", copyAVX512),
		entry("avx512-realign", AVX512|VBMI, "64-byte vectors, loads and stores aligned, bytes permuted between them", copyRealign),
		nt(entry("sse2-nt", X86, "16-byte vectors, non-temporal stores", copySSE2NT)),
		nt(entry("avx2-nt", AVX2, "32-byte vectors, non-temporal stores", copyAVX2NT)),
		nt(entry("avx512-nt", AVX512, "64-byte vectors, non-temporal stores", copyAVX512NT)),
		nt(entry("movdir64b", MOVDIR64B, "64-byte direct stores", copyMovdir64B)),
	}
}

func checksums() []Routine {
	entry := func(name string, needs Features, method string, f func(src *byte, n uintptr) uint64) Routine {
		return Routine{Name: name, Family: FamilyChecksum, Needs: needs, Method: method, Lossless: true, Sum: summer(f)}
	}
	return []Routine{
		entry("sum-adc1", X86, "add-with-carry, one chain", sumADC1),
		entry("sum-adc2", X86, "add-with-carry, two chains", sumADC2),
		entry("sum-avx2", AVX2, "two sums in 32-byte vectors", sumAVX2),
		entry("sum-avx512", AVX512, "two sums in 64-byte vectors", sumAVX512),
		entry("sum-vnni", AVX512|VNNI, "dot products with ones in 64-byte vectors", sumVNNI),
	}
}

func fusions() []Routine {
	entry := func(name string, needs Features, method string, f func(dst, src *byte, n uintptr) uint64) Routine {
		return Routine{Name: name, Family: FamilyFused, Needs: needs, Method: method, Lossless: true, CopySum: fuser(f)}
	}
	return []Routine{
		entry("fused-adc", X86, "add-with-carry while copying, as Linux's csum_partial_copy_generic", copySumADC),
		entry("fused-avx2", AVX2, "two sums in 32-byte vectors while copying", copySumAVX2),
		entry("fused-avx512", AVX512, "two sums in 64-byte vectors while copying", copySumAVX512),
		entry("fused-realign", AVX512|VBMI|VNNI, "dot products with ones while copying with aligned loads and stores", copySumRealign),
	}
}

// copier makes a function over slices of an assembly copy.
func copier(f func(dst, src *byte, n uintptr)) func(dst, src []byte) int {
	return func(dst, src []byte) int {
		n := min(len(dst), len(src))
		if n == 0 {
			return 0
		}
		if overlap(&dst[0], &src[0], n) {
			return copy(dst, src)
		}
		if n > chunk {
			dst, src = dst[:n], src[:n]
			for size := firstChunk(&dst[0]); len(src) > size; size = chunk {
				f(&dst[0], &src[0], uintptr(size))
				dst, src = dst[size:], src[size:]
			}
		}
		f(&dst[0], &src[0], uintptr(min(len(dst), len(src))))
		return n
	}
}

// summer makes a function over slices of an assembly checksum.
func summer(f func(src *byte, n uintptr) uint64) func(b []byte) Partial {
	return func(b []byte) Partial {
		if len(b) == 0 {
			return Partial{}
		}
		p := partialOf(0, len(b))
		for len(b) > chunk {
			p.sum = addEndAround(p.sum, f(&b[0], chunk))
			b = b[chunk:]
		}
		p.sum = addEndAround(p.sum, f(&b[0], uintptr(len(b))))
		return p
	}
}

// fuser makes a function over slices of an assembly copy-and-checksum.
func fuser(f func(dst, src *byte, n uintptr) uint64) func(dst, src []byte) (int, Partial) {
	return func(dst, src []byte) (int, Partial) {
		n := min(len(dst), len(src))
		if n == 0 {
			return 0, Partial{}
		}
		dst, src = dst[:n], src[:n]
		p := partialOf(0, n)
		if overlap(&dst[0], &src[0], n) {
			p.sum = sumThenCopy(dst, src)
			return n, p
		}
		for len(src) > chunk {
			p.sum = addEndAround(p.sum, f(&dst[0], &src[0], chunk))
			dst, src = dst[chunk:], src[chunk:]
		}
		p.sum = addEndAround(p.sum, f(&dst[0], &src[0], uintptr(len(src))))
		return n, p
	}
}
