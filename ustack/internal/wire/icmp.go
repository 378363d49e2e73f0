package wire

// ICMPLen is the length of the part that all messages of ICMP and ICMPv6 share: type,
// code, checksum and four bytes that depend on the type.
const ICMPLen = 8

// Types of ICMP (RFC 792).
const (
	ICMPEchoReply    = 0
	ICMPUnreachable  = 3
	ICMPEcho         = 8
	ICMPTimeExceeded = 11
	ICMPParameter    = 12
)

// Types of ICMPv6 (RFC 4443, 4861).
const (
	ICMP6Unreachable   = 1
	ICMP6TooBig        = 2
	ICMP6TimeExceeded  = 3
	ICMP6Parameter     = 4
	ICMP6Echo          = 128
	ICMP6EchoReply     = 129
	ICMP6RouterAdvert  = 134
	ICMP6Solicitation  = 135
	ICMP6Advertisement = 136
)

// Codes of Unreachable.
const (
	ICMPProtocolUnreachable = 2
	ICMPPortUnreachable     = 3
	ICMPFragmentNeeded      = 4
	ICMP6PortUnreachable    = 4
)

// ICMP is the header of a message of ICMP or ICMPv6.
type ICMP struct {
	Type, Code uint8
	Rest       uint32 // the second four bytes
}

// ParseICMP reads the header at the beginning of b.
func ParseICMP(b []byte) (h ICMP, f Fault) {
	if len(b) < ICMPLen {
		return h, ICMPShort
	}
	return ICMP{b[0], b[1], be32(b[4:])}, OK
}

// Put writes the header to the first ICMPLen bytes of b, its checksum as 0.
func (h *ICMP) Put(b []byte) {
	b[0], b[1], b[2], b[3] = h.Type, h.Code, 0, 0
	put32(b[4:], h.Rest)
}

// ICMPChecksumAt is where the checksum is in a message.
const ICMPChecksumAt = 2

// Quote is what an error message says of the packet that caused it.
type Quote struct {
	Src, Dst         Addr // as in the quoted packet: Src is ours
	Proto            uint8
	SrcPort, DstPort uint16
	Seq              uint32 // of TCP; valid if HasSeq
}

// ParseQuote reads the packet quoted in an error message, of which there may be no
// more than its header and eight bytes; its checksums and lengths prove nothing.
func ParseQuote(b []byte) (q Quote, f Fault) {
	if len(b) < IP4Len {
		return q, ICMPQuote
	}
	var rest []byte
	switch b[0] >> 4 {
	case 4:
		n := int(b[0]&15) * 4
		if n < IP4Len || len(b) < n+8 || be16(b[6:])&0x1fff != 0 {
			return q, ICMPQuote
		}
		q = Quote{Src: Addr4(b[12:]), Dst: Addr4(b[16:]), Proto: b[9]}
		rest = b[n:]
	case 6:
		if len(b) < IP6Len+8 {
			return q, ICMPQuote
		}
		h := IP{Proto: b[6], HeaderLen: IP6Len}
		if parseExtensions(&h, b) != OK || h.FragOffset != 0 || len(b) < h.HeaderLen+8 {
			return q, ICMPQuote
		}
		q = Quote{Src: Addr(b[8:24]), Dst: Addr(b[24:40]), Proto: h.Proto}
		rest = b[h.HeaderLen:]
	default:
		return q, ICMPQuote
	}
	q.SrcPort, q.DstPort, q.Seq = be16(rest), be16(rest[2:]), be32(rest[4:])
	return q, OK
}
