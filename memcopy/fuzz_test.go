package memcopy

import (
	"bytes"
	"testing"
)

// FuzzRoutines runs every routine on fuzzed contents and offsets, also where
// source and destination overlap in one buffer.
func FuzzRoutines(f *testing.F) {
	f.Add([]byte("the quick brown fox jumps over the lazy dog, twice: the quick brown fox"), uint16(3), uint16(5))
	f.Add(bytes.Repeat([]byte{0xff}, 1500), uint16(66), uint16(0))
	f.Add(awkwardBytes(), uint16(0), uint16(1))
	rs := available(f)
	f.Fuzz(func(t *testing.T, data []byte, srcOff, dstOff uint16) {
		if len(data) == 0 || len(data) > 1<<20 {
			return
		}
		so, do := int(srcOff)%len(data), int(dstOff)%len(data)
		n := len(data) - max(so, do)
		want := bytes.Clone(data)
		copy(want[do:do+n], data[so:so+n])
		sum := sumWords16(data[so : so+n])
		for i := range rs {
			got := bytes.Clone(data)
			p, sums, copies := run(&rs[i], got[do:do+n], got[so:so+n])
			if copies && !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes from %d to %d in one buffer differ", rs[i].Name, n, so, do)
			}
			if sums && p.Fold() != sum {
				t.Fatalf("%s: %d bytes from %d: sum %#04x, want %#04x", rs[i].Name, n, so, p.Fold(), sum)
			}
			apart := make([]byte, n)
			if _, _, copies := run(&rs[i], apart, data[so:so+n]); copies && !bytes.Equal(apart, data[so:so+n]) {
				t.Fatalf("%s: %d bytes from %d to a buffer of its own differ", rs[i].Name, n, so)
			}
		}
	})
}

// FuzzPartial cuts fuzzed data where the fuzzer says and adds the parts by turns
// through Add, CopyAdd and Combine.
func FuzzPartial(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7}, []byte{1, 3, 1})
	f.Add(bytes.Repeat([]byte{0xff}, 900), []byte{65, 1, 255, 64, 3})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		var p Partial
		rest := data
		dst := make([]byte, 256)
		for i, c := range append(bytes.Clone(cuts), 0) {
			n := min(int(c), len(rest))
			if i == len(cuts) {
				n = len(rest)
			}
			switch {
			case i%3 == 1 && n <= len(dst):
				if p.CopyAdd(dst, rest[:n]) != n || !bytes.Equal(dst[:n], rest[:n]) {
					t.Fatalf("CopyAdd copied %d bytes wrongly", n)
				}
			case i%3 == 2:
				var q Partial
				q.Add(rest[:n])
				p.Combine(q)
			default:
				p.Add(rest[:n])
			}
			rest = rest[n:]
		}
		if p.Fold() != sumWords16(data) {
			t.Fatalf("%d bytes cut as %v: sum %#04x, want %#04x", len(data), cuts, p.Fold(), sumWords16(data))
		}
	})
}
