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

// TestSplitsInEveryOrder sums up to five parts of every pattern of odd and even
// lengths by each routine, lays them end to end in every order, and combines
// neighbours in every order, which makes every binary tree: all must be the sum of the
// bytes laid end to end.
func TestSplitsInEveryOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	a, _ := twin(5000)
	dst := make([]byte, 5000)
	for k := 1; k <= 5; k++ {
		if k == 5 && (testing.Short() || raceEnabled) {
			break
		}
		for odd := range 1 << k {
			parts := make([][]byte, k)
			for i := range parts {
				n := 2*rng.IntN(150) + odd>>i&1
				parts[i] = a[rng.IntN(4000):][:n:n]
			}
			splitEveryOrder(t, parts, dst)
		}
	}
}

func splitEveryOrder(t *testing.T, parts [][]byte, dst []byte) {
	t.Helper()
	orders := permutations(len(parts))
	want := make([]uint16, len(orders))
	for i, order := range orders {
		var all []byte
		for _, j := range order {
			all = append(all, parts[j]...)
		}
		want[i] = sumWords16(all)
	}
	for _, r := range available(t) {
		if r.Family == FamilyCopy {
			continue
		}
		sums := make([]Partial, len(parts))
		for i := range parts {
			sums[i], _, _ = run(&r, dst, parts[i])
		}
		for i, order := range orders {
			row := make([]Partial, len(parts))
			for to, from := range order {
				row[to] = sums[from]
			}
			trees := 0
			combineAll(row, func(p Partial) {
				trees++
				if p.Fold() != want[i] {
					t.Fatalf("%s: parts in order %v: %#04x, want %#04x", r.Name, order, p.Fold(), want[i])
				}
			})
			if trees == 0 {
				t.Fatal("nothing was combined")
			}
		}
	}
}

// combineAll combines the row's neighbours in each order and shows every total.
func combineAll(row []Partial, total func(Partial)) {
	if len(row) == 1 {
		total(row[0])
		return
	}
	for i := range len(row) - 1 {
		rest := slices.Delete(slices.Clone(row), i+1, i+2)
		rest[i].Combine(row[i+1])
		combineAll(rest, total)
	}
}

// permutations returns every order of 0 to n-1.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			all = append(all, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return all
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
