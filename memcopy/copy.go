package memcopy

import "unsafe"

// Copy copies min(len(dst), len(src)) bytes and returns their number, as the
// built-in copy and with the same result on overlap, by the routine that [Best]
// names for the length.
func Copy(dst, src []byte) int {
	// Small enough to be inlined, so that only the rest costs a call more than the
	// built-in copy.
	if len(src) <= smallCopy {
		return copy(dst, src)
	}
	return copyLarge(unsafe.SliceData(dst), unsafe.SliceData(src), min(len(dst), len(src)))
}
