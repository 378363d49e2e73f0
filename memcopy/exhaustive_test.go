package memcopy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

const (
	maxLength = 1700
	canary    = 64 // bytes watched on either side of the destination
)

// run applies a routine and returns the sum that it computed, if it does. A
// checksum routine copies nothing.
func run(r *Routine, dst, src []byte) (p Partial, sums, copies bool) {
	switch r.Family {
	case FamilyCopy:
		r.Copy(dst, src)
		return p, false, true
	case FamilyChecksum:
		return r.Sum(src), true, false
	default:
		_, p = r.CopySum(dst, src)
		return p, true, true
	}
}

// available returns the routines that can be run here and are true copies.
func available(t testing.TB) []Routine {
	var rs []Routine
	for _, r := range Routines() {
		if !r.Available() {
			t.Logf("%v", r.Check())
			continue
		}
		if r.Lossless {
			rs = append(rs, r)
		}
	}
	if len(rs) < 4 {
		t.Fatalf("only %d routines", len(rs))
	}
	return rs
}

// twin returns two aligned buffers of n+128 bytes, random and its complement. A copy
// from one over a copy from the other shows every byte that was not written.
func twin(n int) (a, b []byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b = aligned(n+128), aligned(n+128)
	for i := range a {
		a[i] = byte(rng.Uint32())
		b[i] = ^a[i]
	}
	return a, b
}

// aligned returns n zero bytes at an address that is a multiple of 64.
func aligned(n int) []byte {
	buf := make([]byte, n+64)
	shift := int(-addr(buf) & 63)
	return buf[shift : shift+n : shift+n]
}

// TestEveryLengthAndOffset runs each routine at every length to maxLength at every
// pair of offsets modulo 64, against the naive reference: contents, sum, and
// canaries before and after the destination. Sampled with -short and -race.
func TestEveryLengthAndOffset(t *testing.T) {
	pairs := make(chan [2]int, 64*64)
	for s := range 64 {
		for d := range 64 {
			if (testing.Short() || raceEnabled) && (s*64+d)%67 != 0 {
				continue
			}
			pairs <- [2]int{d, s}
		}
	}
	close(pairs)
	rs := available(t)
	a, b := twin(maxLength)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for pair := range pairs {
				for i := range rs {
					if err := sweepLengths(&rs[i], a, b, pair[0], pair[1]); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// sweepLengths holds one routine at one pair of offsets against the reference.
func sweepLengths(r *Routine, a, b []byte, dstOff, srcOff int) error {
	buf := aligned(canary + 64 + maxLength + canary)
	fill := bytes.Repeat([]byte{0xc5}, canary)
	before, dst := buf[dstOff:canary+dstOff], buf[canary+dstOff:]
	for i := range buf {
		buf[i] = 0xc5
	}
	var want [2]refSum
	for n := 0; n <= maxLength; n++ {
		src := a[srcOff:][:n]
		if n&1 != 0 {
			src = b[srcOff:][:n]
		}
		if n > 0 {
			want[0].add(a[srcOff+n-1])
			want[1].add(b[srcOff+n-1])
		}
		p, sums, copies := run(r, dst[:n], src)
		if sums {
			if got := p.Fold(); got != want[n&1].fold() || p.Odd() != (n&1 != 0) {
				return fmt.Errorf("%s: %d bytes, source +%d, destination +%d: sum %#04x, want %#04x", r.Name, n, srcOff, dstOff, got, want[n&1].fold())
			}
		}
		if copies && !bytes.Equal(dst[:n], src) {
			return fmt.Errorf("%s: %d bytes, source +%d, destination +%d: copy differs", r.Name, n, srcOff, dstOff)
		}
		if !bytes.Equal(before, fill) || !bytes.Equal(dst[n:][:canary], fill) {
			return fmt.Errorf("%s: %d bytes, source +%d, destination +%d: wrote outside", r.Name, n, srcOff, dstOff)
		}
	}
	return nil
}

// refSum is the reference sum, a byte at a time.
type refSum struct {
	sum uint64
	n   int
}

func (s *refSum) add(b byte) {
	if s.n&1 == 0 {
		s.sum += uint64(b) << 8
	} else {
		s.sum += uint64(b)
	}
	s.n++
}

func (s *refSum) fold() uint16 {
	v := s.sum
	for v>>16 != 0 {
		v = v&0xffff + v>>16
	}
	return uint16(v)
}

// TestLong covers jumbo frames, lengths about the chunk at which calls are cut,
// and 1 MiB, at a few offsets.
func TestLong(t *testing.T) {
	lengths := []int{2048, 4096, 8948, 9000, 16384, 65535, chunk - 64, chunk - 1, chunk, chunk + 1, chunk + 63, 2*chunk + 7, 1 << 20, 1<<20 + 1}
	a, b := twin(1<<20 + 1)
	buf := aligned(1<<20 + 1 + 128)
	for _, r := range available(t) {
		for i, n := range lengths {
			for j, off := range [][2]int{{0, 0}, {1, 0}, {0, 2}, {63, 66 % 64}, {32, 31}} {
				src := a
				if (i+j)&1 != 0 {
					src = b
				}
				src = src[off[1]:][:n]
				dst := buf[off[0]:]
				end := dst[n]
				p, sums, copies := run(&r, dst[:n], src)
				if sums && p.Fold() != sumWords16(src) {
					t.Errorf("%s: %d bytes at %v: sum %#04x, want %#04x", r.Name, n, off, p.Fold(), sumWords16(src))
				}
				if copies && !bytes.Equal(dst[:n], src) {
					t.Errorf("%s: %d bytes at %v: copy differs", r.Name, n, off)
				}
				if dst[n] != end {
					t.Errorf("%s: %d bytes at %v: wrote past the end", r.Name, n, off)
				}
			}
		}
	}
}
