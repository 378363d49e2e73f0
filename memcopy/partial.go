package memcopy

import "math/bits"

// Partial is an Internet checksum (RFC 1071) in the making. Segments are added in
// their order; each may have any length, odd ones included, and begins where the
// one before ended. The zero Partial is the sum of nothing. It is a value: a copy
// is a checkpoint.
type Partial struct {
	sum  uint64 // little-endian words modulo 2^64-1; 0 only if all bytes are 0
	turn uint64 // 8 if the length so far is odd, else 0: bits to turn what follows
}

// partialOf is the Partial of n bytes with the given sum.
func partialOf(sum uint64, n int) Partial { return Partial{sum, turnOf(n)} }

func turnOf(n int) uint64 { return uint64(n) << 3 & 8 }

// Add adds the bytes of b.
func (p *Partial) Add(b []byte) {
	p.join(sumBest(b), len(b))
}

// AddUint16 adds v as two bytes in network order, as pseudo headers need it.
func (p *Partial) AddUint16(v uint16) {
	p.join(uint64(bits.ReverseBytes16(v)), 2)
}

// AddUint32 adds v as four bytes in network order.
func (p *Partial) AddUint32(v uint32) {
	p.join(uint64(bits.ReverseBytes32(v)), 4)
}

// Combine adds what q has summed, as if its bytes followed here. Parts of a
// segment can so be summed in any order, or on several CPUs, and combined in theirs.
func (p *Partial) Combine(q Partial) {
	p.sum = addEndAround(p.sum, bits.RotateLeft64(q.sum, int(p.turn)))
	p.turn ^= q.turn
}

// join adds the sum of n bytes. A sum that begins at an odd offset has its bytes in
// the other halves of the 16-bit words; turning it by 8 bits multiplies it by 256
// modulo 2^64-1 and so modulo 65535, which swaps them.
func (p *Partial) join(sum uint64, n int) {
	p.sum = addEndAround(p.sum, bits.RotateLeft64(sum, int(p.turn)))
	p.turn ^= turnOf(n)
}

// Odd reports whether an odd number of bytes was added.
func (p *Partial) Odd() bool { return p.turn != 0 }

// Fold returns the ones' complement sum of the bytes as 16-bit words in network
// order, not complemented. It is 0 only if every byte was 0; over data that
// includes its own correct checksum it is 0xffff.
func (p *Partial) Fold() uint16 {
	// The upper half of x plus itself turned by half is the end-around sum of its
	// halves: the lower halves' carry runs into it.
	s := p.sum + bits.RotateLeft64(p.sum, 32)
	w := uint32(s >> 32)
	w += bits.RotateLeft32(w, 16)
	return bits.ReverseBytes16(uint16(w >> 16))
}

// Checksum returns the complement of Fold: what a header's checksum field holds
// when the field itself was zero in the sum. (UDP sends 0xffff in place of 0.)
func (p *Partial) Checksum() uint16 { return ^p.Fold() }

// Sum returns the folded sum of b; see [Partial.Fold].
func Sum(b []byte) uint16 {
	p := Partial{sum: sumBest(b)}
	return p.Fold()
}

// Checksum returns the Internet checksum of b, the complement of [Sum].
func Checksum(b []byte) uint16 { return ^Sum(b) }
