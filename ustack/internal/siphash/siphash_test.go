package siphash

import "testing"

// TestVectors holds Sum to vectors of the paper's reference implementation: key 00 01
// .. 0f, input 00 01 .. of each length.
func TestVectors(t *testing.T) {
	key := [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	var in []byte
	want := map[int]uint64{0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5}
	for n := range 16 {
		if w, ok := want[n]; ok && Sum(key, in) != w {
			t.Errorf("%d bytes: %#x, want %#x", n, Sum(key, in), w)
		}
		in = append(in, byte(n))
	}
}
