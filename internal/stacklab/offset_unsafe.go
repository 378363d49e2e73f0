package stacklab

import "unsafe"

// lineOffset is where b begins within 64 bytes.
func lineOffset(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % 64) }
