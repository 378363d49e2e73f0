package memcopy

import "unsafe"

// copyLarge copies n bytes and returns n.
func copyLarge(d, s *byte, n int) int {
	// The way of copyOther without its call and its choices.
	if use.kind == kindRealign && uint(n-smallCopy-1) < realignTo-smallCopy-1 && !overlap(d, s, n) {
		copyRealign(d, s, uintptr(n))
		return n
	}
	copyOther(unsafe.Slice(d, n), unsafe.Slice(s, n))
	return n
}

// copyOther copies between slices of equal length.
func copyOther(dst, src []byte) {
	n := len(src)
	d, s := unsafe.SliceData(dst), unsafe.SliceData(src)
	if n < use.copyFrom || overlap(d, s, n) {
		copy(dst, src)
		return
	}
	if n > chunk || n >= use.stringFrom {
		copyLong(dst, src)
		return
	}
	switch use.kind {
	case kindRealign:
		copyRealign(d, s, uintptr(n))
	case kindAVX512:
		copyAVX512(d, s, uintptr(n))
	default:
		copyAVX2(d, s, uintptr(n))
	}
}

// firstChunk is the length of the first call of a long copy: chosen so that the
// later ones begin at an aligned destination.
func firstChunk(d *byte) int { return chunk - int(uintptr(unsafe.Pointer(d))&63) }

// copyLong copies slices of equal length in calls of at most chunk bytes.
func copyLong(dst, src []byte) {
	one := copyAVX2
	switch {
	case len(src) >= use.streamFrom:
		one = copyAVX512NT
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
	n := len(b)
	if n > chunk {
		return sumLong(b)
	}
	if n == 0 {
		return 0
	}
	// One switch here and not a function of its own: a call more is a tenth of the
	// time of a small sum.
	switch p := unsafe.SliceData(b); use.kind {
	case kindRealign:
		return sumVNNI(p, uintptr(n))
	case kindAVX512:
		return sumAVX512(p, uintptr(n))
	case kindAVX2:
		return sumAVX2(p, uintptr(n))
	default:
		return sumADC2(p, uintptr(n))
	}
}

func sumLong(b []byte) uint64 {
	var sum uint64
	for len(b) > chunk {
		sum = addEndAround(sum, sumBest(b[:chunk]))
		b = b[chunk:]
	}
	return addEndAround(sum, sumBest(b))
}

// CopyAdd copies min(len(dst), len(src)) bytes from src to dst, adds them in the
// same pass, and returns their number. If the two overlap, what is added is src as
// it was before the copy.
func (p *Partial) CopyAdd(dst, src []byte) int {
	n := min(len(dst), len(src))
	if use.kind == kindRealign && uint(n-1) < chunk {
		// The way of copySumBest without its call: at the size of a packet every ten
		// instructions are three percent.
		d, s := unsafe.SliceData(dst), unsafe.SliceData(src)
		if !overlap(d, s, n) {
			p.join(copySumRealign(d, s, uintptr(n)), n)
			return n
		}
	}
	p.join(copySumBest(dst, src, n), n)
	return n
}

// copySumBest copies and sums n bytes, no more than either slice has.
func copySumBest(dst, src []byte, n int) uint64 {
	if n == 0 {
		return 0
	}
	d, s := unsafe.SliceData(dst), unsafe.SliceData(src)
	if overlap(d, s, n) {
		return sumThenCopy(dst[:n], src[:n])
	}
	if n > chunk {
		return copySumLong(dst[:n], src[:n])
	}
	switch use.kind {
	case kindRealign:
		return copySumRealign(d, s, uintptr(n))
	case kindAVX512:
		return copySumAVX512(d, s, uintptr(n))
	case kindAVX2:
		return copySumAVX2(d, s, uintptr(n))
	default:
		return copySumADC(d, s, uintptr(n))
	}
}

func copySumLong(dst, src []byte) uint64 {
	var sum uint64
	for len(src) > chunk {
		sum = addEndAround(sum, copySumBest(dst, src, chunk))
		dst, src = dst[chunk:], src[chunk:]
	}
	return addEndAround(sum, copySumBest(dst, src, len(src)))
}
