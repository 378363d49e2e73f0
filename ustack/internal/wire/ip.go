package wire

import "github.com/stackmeter/stackmeter/memcopy"

// Protocol numbers.
const (
	ProtoICMP  = 1
	ProtoTCP   = 6
	ProtoUDP   = 17
	ProtoICMP6 = 58

	ProtoFragment = 44 // IPv6: a fragment header follows
)

// Lengths of headers without options, in bytes.
const (
	IP4Len = 20
	IP6Len = 40

	FragmentLen = 8 // of IPv6
)

// ECN code points, the lower two bits of TOS (RFC 3168, 5).
const (
	ECNMask = 3
	ECT0    = 2
	CE      = 3
)

// IP is a header of IPv4, or of IPv6 with its extension headers.
type IP struct {
	Src, Dst  Addr
	Proto     uint8 // of the payload; what follows the extension headers
	TTL       uint8 // hop limit
	TOS       uint8 // traffic class
	DontFrag  bool  // IPv4 only; IPv6 never fragments on the way
	HeaderLen int   // where the payload begins, bytes
	Length    int   // of header and payload, bytes; there may be padding behind

	// Of a fragment (IsFragment): its offset in the payload of the whole packet, in
	// bytes, whether more follow, and which packet it is of. UnfragmentLen is where
	// the headers end that each fragment repeats.
	FragOffset    int
	MoreFrags     bool
	ID            uint32
	UnfragmentLen int
	NextAt        int // IPv6: where the number of the fragment header was found
}

// IsFragment reports whether the packet is a part of another.
func (h *IP) IsFragment() bool { return h.MoreFrags || h.FragOffset != 0 }

// Is6 reports whether the packet is one of IPv6.
func (h *IP) Is6() bool { return !h.Dst.Is4() }

// ParseIP reads the header at the beginning of b, by its version, into h, which need
// not be cleared.
func ParseIP(h *IP, b []byte) Fault {
	if len(b) < IP4Len {
		return IPShort
	}
	switch b[0] >> 4 {
	case 4:
		return parseIP4(h, b)
	case 6:
		return parseIP6(h, b)
	}
	return IPVersion
}

func parseIP4(h *IP, b []byte) Fault {
	hl, n := int(b[0]&15)*4, int(be16(b[2:]))
	if hl < IP4Len {
		return IPHeaderLength
	}
	if n < hl || n > len(b) {
		return IPLength
	}
	if !sum20(b, hl) {
		return IPChecksum
	}
	frag := be16(b[6:])
	*h = IP{
		Src: Addr4(b[12:]), Dst: Addr4(b[16:]), Proto: b[9], TTL: b[8], TOS: b[1],
		DontFrag: frag&0x4000 != 0, HeaderLen: hl, Length: n,
		FragOffset: int(frag&0x1fff) * 8, MoreFrags: frag&0x2000 != 0,
		ID: uint32(be16(b[4:])), UnfragmentLen: hl,
	}
	if h.IsFragment() {
		return fragmentFits(h)
	}
	return OK
}

// sum20 verifies the checksum of an IPv4 header. Headers are short, so that adding
// words beats calling a routine for long sums.
func sum20(b []byte, hl int) bool {
	var s uint64
	for i := 0; i < hl; i += 4 {
		s += uint64(be32(b[i:]))
	}
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return s == 0xffff
}

// fragmentFits refuses fragments that would make the whole longer than IP allows
// (the 'ping of death'), that are empty, or that leave a gap which no other can fill.
func fragmentFits(h *IP) Fault {
	n, most := h.Length-h.HeaderLen, 65535
	if h.Is6() {
		most += IP6Len // its length does not count the header
	}
	if n == 0 || h.MoreFrags && n%8 != 0 || h.FragOffset+n > most-h.UnfragmentLen {
		return IPFragment
	}
	return OK
}

// IPv6 extension headers that are stepped over.
const (
	extHopByHop = 0
	extRouting  = 43
	extDstOpts  = 60
)

// extensionsMax bounds the extension headers of a packet (RFC 8504, 5.3).
const extensionsMax = 8

func parseIP6(h *IP, b []byte) Fault {
	if len(b) < IP6Len {
		return IPShort
	}
	n := IP6Len + int(be16(b[4:]))
	if n > len(b) {
		return IPLength
	}
	*h = IP{
		Src: Addr(b[8:24]), Dst: Addr(b[24:40]), Proto: b[6], TTL: b[7],
		TOS: b[0]<<4 | b[1]>>4, DontFrag: true, HeaderLen: IP6Len, Length: n,
	}
	if h.Src.Is4() || h.Dst.Is4() {
		return IPSource // mapped addresses are never on a wire (RFC 4038, 4.2)
	}
	return parseExtensions(h, b[:n])
}

func parseExtensions(h *IP, b []byte) Fault {
	nextAt := 6
	for range extensionsMax {
		at := h.HeaderLen
		switch h.Proto {
		case extHopByHop, extRouting, extDstOpts:
			if len(b) < at+8 {
				return IPExtension
			}
			n := 8 + int(b[at+1])*8
			if len(b) < at+n || h.Proto == extRouting && b[at+3] != 0 {
				return IPExtension
			}
			h.Proto, h.HeaderLen = b[at], at+n
		case ProtoFragment:
			if len(b) < at+8 || h.UnfragmentLen != 0 {
				return IPExtension
			}
			off := be16(b[at+2:])
			h.UnfragmentLen, h.NextAt = at, nextAt
			h.FragOffset, h.MoreFrags, h.ID = int(off&^7), off&1 != 0, be32(b[at+4:])
			h.Proto, h.HeaderLen = b[at], at+8
			if h.IsFragment() {
				return fragmentFits(h) // what follows is in the first fragment only
			}
		default:
			return OK
		}
		nextAt = at
	}
	return IPExtension
}

// Put writes a header without options, for a payload of Length-HeaderLen bytes, to
// the first HeaderLen bytes of b. HeaderLen must be IP4Len or IP6Len.
func (h *IP) Put(b []byte) {
	if h.Is6() {
		b[0], b[1], b[2], b[3] = 6<<4|h.TOS>>4, h.TOS<<4, 0, 0
		put16(b[4:], uint16(h.Length-IP6Len))
		b[6], b[7] = h.Proto, h.TTL
		copy(b[8:24], h.Src[:])
		copy(b[24:40], h.Dst[:])
		return
	}
	b[0], b[1] = 4<<4|5, h.TOS
	put16(b[2:], uint16(h.Length))
	put16(b[4:], uint16(h.ID))
	frag := uint16(h.FragOffset / 8)
	if h.DontFrag {
		frag |= 0x4000
	}
	if h.MoreFrags {
		frag |= 0x2000
	}
	put16(b[6:], frag)
	b[8], b[9] = h.TTL, h.Proto
	put16(b[10:], 0)
	copy(b[12:16], h.Src[12:])
	copy(b[16:20], h.Dst[12:])
	put16(b[10:], memcopy.Checksum(b[:IP4Len]))
}

// PutFragment writes the fragment header of IPv6 (RFC 8200, 4.5), before a part of a
// packet of protocol proto, to the first FragmentLen bytes of b.
func (h *IP) PutFragment(b []byte, proto uint8) {
	off := uint16(h.FragOffset)
	if h.MoreFrags {
		off |= 1
	}
	b[0], b[1] = proto, 0
	put16(b[2:], off)
	put32(b[4:], h.ID)
}

// IPHeaderLen is the length of a header without options to dst.
func IPHeaderLen(dst *Addr) int {
	if dst.Is4() {
		return IP4Len
	}
	return IP6Len
}

// SetUnfragmented makes the header of p that of a packet which is whole and as long
// as p.
func SetUnfragmented(p []byte) {
	if p[0]>>4 == 6 {
		put16(p[4:], uint16(len(p)-IP6Len))
		return
	}
	put16(p[2:], uint16(len(p)))
	put16(p[6:], be16(p[6:])&0x4000)
	put16(p[10:], 0)
	put16(p[10:], memcopy.Checksum(p[:int(p[0]&15)*4]))
}
