package memcopy

import "math/bits"

// Partial is an Internet checksum (RFC 1071) in the making. Segments are added in
// their order; each may have any length, odd ones included, and begins where the
// one before ended. The zero Partial is the sum of nothing. It is a value: a copy
// is a checkpoint.
type Partial struct {
	sum uint64 // little-endian words modulo 2^64-1; 0 only if all bytes are 0
	odd bool   // the length so far
}

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

// CopyAdd copies min(len(dst), len(src)) bytes from src to dst, adds them in the
// same pass, and returns their number. If the two overlap, what is added is src as
// it was before the copy.
func (p *Partial) CopyAdd(dst, src []byte) int {
	n := min(len(dst), len(src))
	p.join(copySumBest(dst[:n], src[:n]), n)
	return n
}

// Combine adds what q has summed, as if its bytes followed here. Parts of a
// segment can so be summed in any order, or on several CPUs, and combined in theirs.
func (p *Partial) Combine(q Partial) {
	sum := q.sum
	if p.odd {
		sum = bits.RotateLeft64(sum, 8)
	}
	p.sum = addEndAround(p.sum, sum)
	p.odd = p.odd != q.odd
}

// join adds the sum of n bytes. A sum that begins at an odd offset has its bytes in
// the other halves of the 16-bit words; turning it by 8 bits multiplies it by 256
// modulo 2^64-1 and so modulo 65535, which swaps them.
func (p *Partial) join(sum uint64, n int) {
	if p.odd {
		sum = bits.RotateLeft64(sum, 8)
	}
	p.sum = addEndAround(p.sum, sum)
	p.odd = p.odd != (n&1 != 0)
}

// Odd reports whether an odd number of bytes was added.
func (p *Partial) Odd() bool { return p.odd }

// Fold returns the ones' complement sum of the bytes as 16-bit words in network
// order, not complemented. It is 0 only if every byte was 0; over data that
// includes its own correct checksum it is 0xffff.
func (p *Partial) Fold() uint16 {
	s := p.sum>>32 + p.sum&0xffffffff
	s = s>>16 + s&0xffff // below 2^33 before, below 3*2^16 now
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s))
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
