//go:build !amd64

package memcopy

import (
	"math"
	"unsafe"
)

const whyPortable = "no assembly for this architecture"

func rulesFor(_ cpu, f Family) []rule { return portableRules(f) }

func copyLarge(d, s *byte, n int) int { return copy(unsafe.Slice(d, n), unsafe.Slice(s, n)) }

// smallCopy is the length up to which Copy does not even call copyLarge.
const smallCopy = 128

func sumBest(b []byte) uint64 { return sumGo(b) }

func copySumBest(dst, src []byte, n int) uint64 { return sumThenCopy(dst[:n], src[:n]) }

// portableRules are for CPUs without assembly routines.
func portableRules(f Family) []rule {
	switch f {
	case FamilyCopy:
		return []rule{{math.MaxInt, "memmove", whyPortable + ": the runtime's copy"}}
	case FamilyChecksum:
		return []rule{{math.MaxInt, "sum-go64", whyPortable}}
	case FamilyFused:
		return []rule{{math.MaxInt, "two-pass", whyPortable + ", and Go's fused loop takes longer than its checksum followed by its copy"}}
	}
	return nil
}

// CopyAdd copies min(len(dst), len(src)) bytes from src to dst, adds them in the
// same pass, and returns their number. If the two overlap, what is added is src as
// it was before the copy.
func (p *Partial) CopyAdd(dst, src []byte) int {
	n := min(len(dst), len(src))
	p.join(copySumBest(dst, src, n), n)
	return n
}
