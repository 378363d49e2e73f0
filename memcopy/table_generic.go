package memcopy

// portable returns the routines in Go, which run everywhere.
func portable() []Routine {
	return []Routine{
		{
			Name: "memmove", Family: FamilyCopy, Lossless: true,
			Method: "Go's built-in copy (the runtime's memmove)",
			Copy:   func(dst, src []byte) int { return copy(dst, src) },
		},
		{
			Name: "sum-ref16", Family: FamilyChecksum, Lossless: true,
			Method: "RFC 1071 word by word: 16-bit reference",
			Sum: func(b []byte) Partial {
				var p Partial
				p.AddUint16(sumWords16(b))
				p.turn = turnOf(len(b))
				return p
			},
		},
		{
			Name: "sum-go64", Family: FamilyChecksum, Lossless: true,
			Method: "64-bit words with carry in Go (math/bits), 64 bytes a turn",
			Sum:    func(b []byte) Partial { return partialOf(sumGo(b), len(b)) },
		},
		{
			Name: "fused-go64", Family: FamilyFused, Lossless: true,
			Method: "64-bit words with carry in Go, copied in the same pass",
			CopySum: func(dst, src []byte) (int, Partial) {
				n := min(len(dst), len(src))
				if n == 0 {
					return 0, Partial{}
				}
				dst, src = dst[:n], src[:n]
				if overlap(&dst[0], &src[0], n) {
					return n, partialOf(sumThenCopy(dst, src), n)
				}
				return n, partialOf(copySumGo(dst, src), n)
			},
		},
		{
			Name: "two-pass", Family: FamilyFused, Lossless: true,
			Method: "no fusion: the best checksum, then the best copy; the yardstick of folding",
			CopySum: func(dst, src []byte) (int, Partial) {
				n := min(len(dst), len(src))
				sum := sumBest(src[:n])
				Copy(dst, src)
				return n, partialOf(sum, n)
			},
		},
	}
}

// sumThenCopy is the fused operation for overlapping slices of equal length: the
// sum is of src before the copy changes it.
func sumThenCopy(dst, src []byte) uint64 {
	sum := sumBest(src)
	copy(dst, src)
	return sum
}
