package main

import (
	"unsafe"

	"github.com/stackmeter/stackmeter/bench/copies/glibc"
	"github.com/stackmeter/stackmeter/internal/cycles"
)

//go:noescape
func called(f uintptr, dst, src *byte, n uintptr)

//go:noescape
func nothing(dst, src *byte, n uintptr)

// The floors, and the C library's memcpy as a Go program could have it at best: by a
// call of assembly, which moves its arguments through memory, as memcopy's routines.
var (
	glibcCalled = loop{"glibc from Go", func(dst, src []byte, at []uint32, n int) uint64 {
		f := glibc.Address()
		t := cycles.Start()
		for _, o := range at {
			s := src[o:][:n]
			called(f, unsafe.SliceData(dst), unsafe.SliceData(s), uintptr(min(len(dst), len(s))))
		}
		return cycles.Stop() - t
	}}
	callFloor = loop{"empty assembly", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			s := src[o:][:n]
			nothing(unsafe.SliceData(dst), unsafe.SliceData(s), uintptr(min(len(dst), len(s))))
		}
		return cycles.Stop() - t
	}}
	cFloor = loop{"empty C function", func(dst, src []byte, at []uint32, n int) uint64 { return glibc.Empty(dst, src, at, n) }}
)
