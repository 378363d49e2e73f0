// Package glibc times the C library's memcpy from C, so that no crossing between
// Go and C is part of the time. cgo and Go assembly cannot share a package, hence
// a package of its own.
package glibc

/*
#cgo CFLAGS: -O2 -fno-builtin-memcpy
#include <string.h>
#include <stdint.h>
#include <x86intrin.h>
#include <gnu/libc-version.h>

static void *(*volatile copyfn)(void *, const void *, size_t) = memcpy;

__attribute__((noipa)) static void *empty(void *d, const void *s, size_t n) { return d; }

static uintptr_t address(void) { return (uintptr_t)copyfn; }

static uint64_t pool(char *d, const char *s, const uint32_t *at, int count, size_t n, int nothing) {
	void *(*f)(void *, const void *, size_t) = nothing ? empty : copyfn;
	_mm_lfence();
	uint64_t t = __rdtsc();
	_mm_lfence();
	for (int i = 0; i < count; i++)
		f(d, s + at[i], n);
	unsigned aux;
	uint64_t e = __rdtscp(&aux);
	_mm_lfence();
	return e - t;
}
*/
import "C"

import "unsafe"

// Pool copies n bytes from each of the offsets at of mem to dst and returns the
// ticks that it took.
func Pool(dst, mem []byte, at []uint32, n int) uint64 {
	return uint64(C.pool((*C.char)(unsafe.Pointer(&dst[0])), (*C.char)(unsafe.Pointer(&mem[0])), (*C.uint32_t)(&at[0]), C.int(len(at)), C.size_t(n), 0))
}

// Empty is Pool with a function that does nothing in the place of memcpy.
func Empty(dst, mem []byte, at []uint32, n int) uint64 {
	return uint64(C.pool((*C.char)(unsafe.Pointer(&dst[0])), (*C.char)(unsafe.Pointer(&mem[0])), (*C.uint32_t)(&at[0]), C.int(len(at)), C.size_t(n), 1))
}

// Address is where the memcpy begins that the C library chose for this CPU.
func Address() uintptr { return uintptr(C.address()) }

// Version returns the C library's version.
func Version() string { return C.GoString(C.gnu_get_libc_version()) }
