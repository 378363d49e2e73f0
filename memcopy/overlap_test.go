package memcopy

import (
	"bytes"
	"testing"
)

// TestOverlap shifts ranges over themselves, forwards and backwards: the result is
// the built-in copy's, and the sum is of the source as it was.
func TestOverlap(t *testing.T) {
	a, _ := twin(4096)
	want := make([]byte, len(a))
	got := make([]byte, len(a))
	for _, r := range available(t) {
		for _, n := range []int{1, 3, 8, 17, 64, 65, 200, 1448, 3000} {
			for shift := -260; shift <= 260; shift += 1 + (shift&3)*5 {
				if n+520 > len(a) {
					continue
				}
				copy(want, a)
				copy(got, a)
				src, dst := 260, 260+shift
				sum := sumWords16(want[src : src+n])
				copy(want[dst:dst+n], want[src:src+n])
				p, sums, copies := run(&r, got[dst:dst+n], got[src:src+n])
				if copies && !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bytes moved by %d differ from the built-in copy", r.Name, n, shift)
				}
				if sums && p.Fold() != sum {
					t.Fatalf("%s: %d bytes moved by %d: sum %#04x, want %#04x", r.Name, n, shift, p.Fold(), sum)
				}
			}
		}
	}
}

// TestPublicOverlap is the same for Copy and CopyAdd.
func TestPublicOverlap(t *testing.T) {
	a, _ := twin(4096)
	for shift := -70; shift <= 70; shift++ {
		want := bytes.Clone(a)
		got := bytes.Clone(a)
		fused := bytes.Clone(a)
		copy(want[100+shift:][:1448], want[100:])
		if n := Copy(got[100+shift:][:1448], got[100:]); n != 1448 || !bytes.Equal(got, want) {
			t.Fatalf("Copy moved by %d differs", shift)
		}
		var p Partial
		p.CopyAdd(fused[100+shift:][:1448], fused[100:])
		if !bytes.Equal(fused, want) || p.Fold() != sumWords16(a[100:][:1448]) {
			t.Fatalf("CopyAdd moved by %d differs", shift)
		}
	}
}
