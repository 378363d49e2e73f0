//go:build !amd64

package memcopy

func copyBest(dst, src []byte) int { return copy(dst, src) }

func sumBest(b []byte) uint64 { return sumGo(b) }

func copySumBest(dst, src []byte) uint64 {
	if len(src) == 0 {
		return 0
	}
	if overlap(&dst[0], &src[0], len(src)) {
		return sumThenCopy(dst, src)
	}
	return copySumGo(dst, src)
}
