package memcopy

func copyBest(dst, src []byte) int {
	n := min(len(dst), len(src))
	if n == 0 || overlap(&dst[0], &src[0], n) || n > chunk {
		return copy(dst, src)
	}
	copyAVX512(&dst[0], &src[0], uintptr(n))
	return n
}

func sumBest(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return sumAVX512(&b[0], uintptr(len(b)))
}

func copySumBest(dst, src []byte) uint64 {
	if len(src) == 0 {
		return 0
	}
	if overlap(&dst[0], &src[0], len(src)) {
		return sumThenCopy(dst, src)
	}
	return copySumAVX512(&dst[0], &src[0], uintptr(len(src)))
}
