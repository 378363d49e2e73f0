package copylab

import (
	"unsafe"

	"github.com/stackmeter/stackmeter/memcopy"
)

//go:noescape
func readSSE2(p *byte, n uintptr)

//go:noescape
func readAVX2(p *byte, n uintptr)

//go:noescape
func readAVX512(p *byte, n uintptr)

//go:noescape
func writeSSE2(p *byte, n uintptr)

//go:noescape
func writeAVX2(p *byte, n uintptr)

//go:noescape
func writeAVX512(p *byte, n uintptr)

// readers and writers are all widths that run here: the fastest at a level is its
// roof.
func readers() []func([]byte) {
	fs := []func([]byte){kernel(readSSE2)}
	_, has := memcopy.CPU()
	if has&memcopy.AVX2 != 0 {
		fs = append(fs, kernel(readAVX2))
	}
	if has&memcopy.AVX512 != 0 {
		fs = append(fs, kernel(readAVX512))
	}
	return fs
}

func writers() []func([]byte) {
	// Filling by the runtime may use instructions that no loop can match.
	fs := []func([]byte){func(b []byte) { clear(b) }, kernel(writeSSE2)}
	_, has := memcopy.CPU()
	if has&memcopy.AVX2 != 0 {
		fs = append(fs, kernel(writeAVX2))
	}
	if has&memcopy.AVX512 != 0 {
		fs = append(fs, kernel(writeAVX512))
	}
	return fs
}

// kernel runs f over the aligned whole of a slice, in short calls.
func kernel(f func(p *byte, n uintptr)) func([]byte) {
	return func(b []byte) {
		b = b[int(-uintptr(unsafe.Pointer(&b[0]))&63):]
		b = b[:len(b)&^255]
		for len(b) > 0 {
			n := min(len(b), 128<<10)
			f(&b[0], uintptr(n))
			b = b[n:]
		}
	}
}
