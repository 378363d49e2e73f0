package memcopy

import (
	"bytes"
	"testing"
)

func TestPublic(t *testing.T) { checkPublic(t) }

// checkPublic holds Copy, Sum and CopyAdd, as they choose now, against the reference.
func checkPublic(t *testing.T) {
	lengths := []int{24<<10 - 1, 24 << 10, 24<<10 + 1, chunk - 1, chunk, chunk + 1, 3*chunk + 5}
	for n := range 700 {
		lengths = append(lengths, n)
	}
	for n := 700; n < 10000; n += 97 {
		lengths = append(lengths, n)
	}
	a, b := twin(3*chunk + 5)
	buf := aligned(len(a) + 64)
	for i, n := range lengths {
		src := a
		if i&1 != 0 {
			src = b
		}
		src = src[i*7%64:][:n]
		dst := buf[i*5%64:][:n]
		end := buf[i*5%64+n]
		if got := Copy(dst, src); got != n || !bytes.Equal(dst, src) {
			t.Fatalf("Copy of %d bytes returned %d and copied wrongly", n, got)
		}
		if got := Sum(src); got != sumWords16(src) {
			t.Fatalf("Sum of %d bytes is %#04x, want %#04x", n, got, sumWords16(src))
		}
		clear(dst)
		var p Partial
		if got := p.CopyAdd(dst, src); got != n || p.Fold() != sumWords16(src) || !bytes.Equal(dst, src) {
			t.Fatalf("CopyAdd of %d bytes returned %d, sum %#04x, want %#04x", n, got, p.Fold(), sumWords16(src))
		}
		if buf[i*5%64+n] != end {
			t.Fatalf("%d bytes: wrote past the end", n)
		}
	}
	if Copy(nil, a) != 0 || Copy(buf[:3], a) != 3 || Copy(buf, a[:2]) != 2 || Sum(nil) != 0 {
		t.Error("empty or unequal lengths handled wrongly")
	}
}

// TestStreaming copies more than the caches hold, which is done round them.
func TestStreaming(t *testing.T) {
	if testing.Short() {
		t.Skip("copies 33 MiB: not with -short")
	}
	src := make([]byte, 33<<20+5)
	for i := range src {
		src[i] = byte(i*31 + i>>9)
	}
	dst := make([]byte, len(src)+3)
	if n := Copy(dst[3:], src); n != len(src) || !bytes.Equal(dst[3:], src) || dst[0]|dst[1]|dst[2] != 0 {
		t.Error("a copy of 33 MiB differs")
	}
}

// TestPrefetchIsHarmless asks for lines at the very ends of memory that is there.
func TestPrefetchIsHarmless(t *testing.T) {
	a, _ := twin(20000)
	sum := Sum(a)
	Prefetch(nil)
	for n := range 300 {
		Prefetch(a[n%64:][:n])
		Prefetch(a[len(a)-n:])
	}
	Prefetch(a)
	if Sum(a) != sum {
		t.Error("prefetching changed data")
	}
}

// TestBestNamesWhatIsUsed holds the words of Best to a routine that runs here.
func TestBestNamesWhatIsUsed(t *testing.T) {
	for _, f := range []Family{FamilyCopy, FamilyChecksum, FamilyFused} {
		for _, n := range []int{0, 1, 64, 128, 129, 1448, 9000, 24 << 10, 1 << 20, 64 << 20} {
			r, why := Best(f, n)
			if r.Family != f || !r.Available() || why == "" {
				t.Errorf("%s of %d bytes: %q (%s)", f, n, r.Name, why)
			}
		}
	}
	if r, why := Best("no such family", 1); r.Name != "" || why != "" {
		t.Errorf("an unknown family has a best routine, %q", r.Name)
	}
}
