//go:build !amd64

package memcopy

func rulesFor(_ cpu, f Family) []rule { return portableRules(f) }

func copyBest(dst, src []byte) int { return copy(dst, src) }

func sumBest(b []byte) uint64 { return sumGo(b) }

func copySumBest(dst, src []byte) uint64 { return sumThenCopy(dst, src) }
