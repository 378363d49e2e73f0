package memcopy

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"testing"
)

// fenced returns size bytes (whole pages) with an inaccessible page at either end.
func fenced(t *testing.T, size int) []byte {
	t.Helper()
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	for _, edge := range [][]byte{mem[:page], mem[page+size:]} {
		if err := syscall.Mprotect(edge, syscall.PROT_NONE); err != nil {
			t.Fatalf("mprotect: %v", err)
		}
	}
	return mem[page : page+size : page+size]
}

// TestGuardPages lays source and destination against inaccessible pages, at their
// first and at their last byte, so that any access outside faults.
func TestGuardPages(t *testing.T) {
	size := (9000 + os.Getpagesize() - 1) / os.Getpagesize() * os.Getpagesize()
	srcMem, dstMem := fenced(t, size), fenced(t, size)
	a, _ := twin(size)
	copy(srcMem, a)
	lengths := []int{2048, 4095, 4096, 8948, 9000}
	for n := range maxLength + 1 {
		if n <= 600 || n%7 == 0 || n >= 1440 && n <= 1460 || !testing.Short() {
			lengths = append(lengths, n)
		}
	}
	for _, r := range available(t) {
		for _, n := range lengths {
			for place := range 4 {
				src, dst := srcMem[:n], dstMem[:n]
				if place&1 != 0 {
					src = srcMem[size-n:]
				}
				if place&2 != 0 {
					dst = dstMem[size-n:]
				}
				p, sums, copies, err := runFenced(&r, dst, src)
				if err != nil {
					t.Fatalf("%s: %d bytes, place %02b: %v", r.Name, n, place, err)
				}
				if sums && p.Fold() != sumWords16(src) || copies && !bytes.Equal(dst, src) {
					t.Fatalf("%s: %d bytes, place %02b: wrong result", r.Name, n, place)
				}
			}
		}
	}
}

// runFenced is run with a fault turned into an error.
func runFenced(r *Routine, dst, src []byte) (p Partial, sums, copies bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if f := recover(); f != nil {
			err = fmt.Errorf("touched memory outside its slices: %v", f)
		}
	}()
	p, sums, copies = run(r, dst, src)
	return p, sums, copies, nil
}
