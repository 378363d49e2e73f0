package memcopy

import (
	"encoding/binary"
	"math/bits"
)

// sumWords16 is RFC 1071 as it stands on the page: 16-bit words in network order,
// an odd last byte padded with zero, carries folded at the end. It is the
// reference that everything else is held against; n must be under 4 GiB.
func sumWords16(b []byte) uint16 {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// sumGo adds little-endian 64-bit words with end-around carry.
func sumGo(b []byte) uint64 {
	var sum, c uint64
	for len(b) >= 64 {
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:]), c)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(last[:]), c)
	return addEndAround(sum, c)
}

// copySumGo copies and adds in one pass over 64-bit words. len(dst) == len(b).
func copySumGo(dst, b []byte) uint64 {
	var sum, c uint64
	for len(b) >= 32 && len(dst) >= 32 {
		w0 := binary.LittleEndian.Uint64(b[0:])
		w1 := binary.LittleEndian.Uint64(b[8:])
		w2 := binary.LittleEndian.Uint64(b[16:])
		w3 := binary.LittleEndian.Uint64(b[24:])
		sum, c = bits.Add64(sum, w0, c)
		sum, c = bits.Add64(sum, w1, c)
		sum, c = bits.Add64(sum, w2, c)
		sum, c = bits.Add64(sum, w3, c)
		binary.LittleEndian.PutUint64(dst[0:], w0)
		binary.LittleEndian.PutUint64(dst[8:], w1)
		binary.LittleEndian.PutUint64(dst[16:], w2)
		binary.LittleEndian.PutUint64(dst[24:], w3)
		b, dst = b[32:], dst[32:]
	}
	for len(b) >= 8 && len(dst) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		sum, c = bits.Add64(sum, w, c)
		binary.LittleEndian.PutUint64(dst, w)
		b, dst = b[8:], dst[8:]
	}
	var last [8]byte
	copy(last[:], b)
	copy(dst, b)
	sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(last[:]), c)
	return addEndAround(sum, c)
}

// addEndAround adds b to a modulo 2^64-1; the result is zero only if both are.
func addEndAround(a, b uint64) uint64 {
	s, c := bits.Add64(a, b, 0)
	return s + c // cannot carry again: a carry leaves s below 2^64-1
}
