package memcopy

func copyBest(dst, src []byte) int {
	n := min(len(dst), len(src))
	if n < use.copyFrom {
		return copy(dst, src)
	}
	d, s := &dst[0], &src[0]
	if overlap(d, s, n) {
		return copy(dst, src)
	}
	if n > chunk || n >= use.stringFrom {
		copyLong(dst[:n], src[:n])
		return n
	}
	switch use.kind {
	case kindRealign:
		copyRealign(d, s, uintptr(n))
	case kindAVX512:
		copyAVX512(d, s, uintptr(n))
	default:
		copyAVX2(d, s, uintptr(n))
	}
	return n
}

// copyLong copies slices of equal length in calls of at most chunk bytes.
func copyLong(dst, src []byte) {
	one := copyAVX2
	switch {
	case len(src) >= use.stringFrom:
		one = copyRepMovsB
	case use.kind == kindRealign:
		one = copyRealign
	case use.kind == kindAVX512:
		one = copyAVX512
	}
	for size := firstChunk(&dst[0]); len(src) > size; size = chunk {
		one(&dst[0], &src[0], uintptr(size))
		dst, src = dst[size:], src[size:]
	}
	one(&dst[0], &src[0], uintptr(len(src)))
}

func sumBest(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	var sum uint64
	for len(b) > chunk {
		sum = addEndAround(sum, sumChunk(&b[0], chunk))
		b = b[chunk:]
	}
	return addEndAround(sum, sumChunk(&b[0], uintptr(len(b))))
}

func sumChunk(p *byte, n uintptr) uint64 {
	switch use.kind {
	case kindRealign:
		return sumVNNI(p, n)
	case kindAVX512:
		return sumAVX512(p, n)
	case kindAVX2:
		return sumAVX2(p, n)
	}
	return sumADC2(p, n)
}

// copySumBest works on slices of equal length.
func copySumBest(dst, src []byte) uint64 {
	if len(src) == 0 {
		return 0
	}
	if overlap(&dst[0], &src[0], len(src)) {
		return sumThenCopy(dst, src)
	}
	var sum uint64
	for len(src) > chunk {
		sum = addEndAround(sum, copySumChunk(&dst[0], &src[0], chunk))
		dst, src = dst[chunk:], src[chunk:]
	}
	return addEndAround(sum, copySumChunk(&dst[0], &src[0], uintptr(len(src))))
}

func copySumChunk(d, s *byte, n uintptr) uint64 {
	switch use.kind {
	case kindRealign:
		return copySumRealign(d, s, n)
	case kindAVX512:
		return copySumAVX512(d, s, n)
	case kindAVX2:
		return copySumAVX2(d, s, n)
	}
	return copySumADC(d, s, n)
}
