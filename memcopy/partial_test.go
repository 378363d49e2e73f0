package memcopy

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOnesAndZeros holds the ends of the ones' complement number line: zeros sum to
// 0, ones to 0xffff, and never the one to the other.
func TestOnesAndZeros(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 300001)
	zeros := make([]byte, 300001)
	dst := make([]byte, 300001)
	for _, r := range available(t) {
		for n := 0; n <= 300000; n += 1 + n/3 {
			for off := range 2 {
				p, sums, _ := run(&r, dst, zeros[off:off+n])
				if sums && p.Fold() != 0 {
					t.Errorf("%s: %d zero bytes sum to %#04x", r.Name, n, p.Fold())
				}
				p, sums, _ = run(&r, dst, ones[off:off+n])
				want := uint16(0xffff)
				if n == 0 {
					want = 0
				} else if n == 1 {
					want = 0xff00
				} else if n&1 != 0 {
					want = 0xff00 // 0xffff + 0xff00
				}
				if sums && p.Fold() != want {
					t.Errorf("%s: %d bytes of ones sum to %#04x, want %#04x", r.Name, n, p.Fold(), want)
				}
			}
		}
	}
}

// TestRFC1071Example is the numerical example of the RFC, section 3.
func TestRFC1071Example(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Sum(b); got != 0xddf2 {
		t.Errorf("sum %#04x, want 0xddf2", got)
	}
	if got := Checksum(b); got != 0x220d {
		t.Errorf("checksum %#04x, want 0x220d", got)
	}
}

// TestSplitsInEveryOrder cuts data into four parts of any parity, sums them by
// every routine, combines them in each association, and sums them in each order.
func TestSplitsInEveryOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	a, _ := twin(5000)
	dst := make([]byte, 5000)
	for round := range 300 {
		data := a[rng.IntN(64):][:rng.IntN(4900)]
		cuts := []int{0, rng.IntN(len(data) + 1), rng.IntN(len(data) + 1), rng.IntN(len(data) + 1), len(data)}
		slices.Sort(cuts)
		want := sumWords16(data)
		for _, r := range available(t) {
			if r.Family == FamilyCopy {
				continue
			}
			var part [4]Partial
			for i := range part {
				part[(i+round)%4], _, _ = run(&r, dst, data[cuts[(i+round)%4]:cuts[(i+round)%4+1]])
			}
			left := part[0] // ((0 1) 2) 3
			left.Combine(part[1])
			left.Combine(part[2])
			left.Combine(part[3])
			right := part[2] // 0 (1 (2 3))
			right.Combine(part[3])
			mid := part[1]
			mid.Combine(right)
			right = part[0]
			right.Combine(mid)
			pairs, tail := part[0], part[2] // (0 1) (2 3)
			pairs.Combine(part[1])
			tail.Combine(part[3])
			pairs.Combine(tail)
			for _, p := range []Partial{left, right, pairs} {
				if p.Fold() != want || p.Odd() != (len(data)&1 != 0) {
					t.Fatalf("%s: %d bytes cut at %v: %#04x, want %#04x", r.Name, len(data), cuts, p.Fold(), want)
				}
			}
		}
	}
}

// TestPartialSequence feeds one Partial by all its methods and compares with the
// bytes laid end to end.
func TestPartialSequence(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	a, _ := twin(3000)
	for range 500 {
		var p Partial
		var all []byte
		for range rng.IntN(8) {
			b := a[rng.IntN(64):][:rng.IntN(300)]
			switch rng.IntN(4) {
			case 0:
				p.Add(b)
				all = append(all, b...)
			case 1:
				dst := make([]byte, rng.IntN(400))
				n := p.CopyAdd(dst, b)
				if n != min(len(dst), len(b)) || !bytes.Equal(dst[:n], b[:n]) {
					t.Fatalf("CopyAdd copied %d bytes wrongly", n)
				}
				all = append(all, b[:n]...)
			case 2:
				v := uint16(rng.Uint32())
				p.AddUint16(v)
				all = binary.BigEndian.AppendUint16(all, v)
			case 3:
				v := rng.Uint32()
				p.AddUint32(v)
				all = binary.BigEndian.AppendUint32(all, v)
			}
		}
		if p.Fold() != sumWords16(all) || p.Checksum() != ^sumWords16(all) {
			t.Fatalf("sum %#04x, want %#04x over %d bytes", p.Fold(), sumWords16(all), len(all))
		}
	}
}

func TestNoAllocation(t *testing.T) {
	src := make([]byte, 1448)
	dst := make([]byte, 1448)
	if n := testing.AllocsPerRun(100, func() {
		var p Partial
		p.Add(src[:53])
		p.CopyAdd(dst, src)
		Copy(dst, src)
		_ = Sum(src)
		_ = p.Checksum()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
