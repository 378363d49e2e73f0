package wire

// Flags of a TCP header (RFC 9293, 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Lengths of a TCP header, and where its checksum is, in bytes.
const (
	TCPLen        = 20
	TCPMaxLen     = 60
	TCPChecksumAt = 16
)

// Kinds of TCP options.
const (
	optEnd           = 0
	optNop           = 1
	optMSS           = 2
	optWindowScale   = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
)

// WindowScaleMax is the largest shift (RFC 7323, 2.3).
const WindowScaleMax = 14

// Block is a range of sequence numbers, from Start to before End.
type Block struct{ Start, End uint32 }

// TCPOptions are the options that the stack understands.
type TCPOptions struct {
	MSS           uint16 // 0: absent
	WindowScale   int8   // -1: absent
	SACKPermitted bool
	Timestamps    bool
	Blocks        uint8 // valid entries of SACK
	TSVal, TSEcr  uint32
	SACK          [4]Block
}

// TCP is a TCP header.
type TCP struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8
	HeaderLen        int
	Window           uint16
	Options          TCPOptions
}

// timestampsOnly is how nearly all segments carry their timestamps (RFC 7323,
// appendix A): NOP, NOP, kind 8, length 10.
const timestampsOnly = optNop<<24 | optNop<<16 | optTimestamps<<8 | 10

// ParseTCP reads the header at the beginning of b, the payload of an IP packet, into
// h, which need not be cleared; entries of Options.SACK from Blocks on stay as they
// were. Unknown options are skipped.
func ParseTCP(h *TCP, b []byte) Fault {
	if len(b) < TCPLen {
		return TCPShort
	}
	h.SrcPort, h.DstPort = be16(b), be16(b[2:])
	h.Seq, h.Ack = be32(b[4:]), be32(b[8:])
	h.HeaderLen = int(b[12]>>4) * 4
	h.Flags, h.Window = b[13], be16(b[14:])
	if h.HeaderLen < TCPLen || h.HeaderLen > len(b) {
		return TCPHeaderLength
	}
	if h.SrcPort == 0 || h.DstPort == 0 {
		return TCPPort
	}
	o := &h.Options
	o.MSS, o.WindowScale, o.SACKPermitted, o.Blocks = 0, -1, false, 0
	if h.HeaderLen == TCPLen+12 && be32(b[TCPLen:]) == timestampsOnly {
		o.Timestamps, o.TSVal, o.TSEcr = true, be32(b[24:]), be32(b[28:])
		return OK
	}
	o.Timestamps, o.TSVal, o.TSEcr = false, 0, 0
	return o.parse(b[TCPLen:h.HeaderLen], h.Flags&SYN != 0)
}

// parse reads options. Those that only SYN segments may carry are skipped in others
// (RFC 9293, 3.2; RFC 7323, 2.2), as are known ones of a wrong length.
func (o *TCPOptions) parse(b []byte, syn bool) Fault {
	for len(b) > 0 {
		kind := b[0]
		if kind == optEnd {
			return OK
		}
		if kind == optNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return TCPOption
		}
		n := int(b[1])
		switch {
		case kind == optTimestamps && n == 10:
			o.Timestamps, o.TSVal, o.TSEcr = true, be32(b[2:]), be32(b[6:])
		case kind == optSACK && n > 2 && (n-2)%8 == 0:
			o.Blocks = 0
			for p := 2; p < n && int(o.Blocks) < len(o.SACK); p += 8 {
				o.SACK[o.Blocks] = Block{be32(b[p:]), be32(b[p+4:])}
				o.Blocks++
			}
		case kind == optMSS && n == 4 && syn:
			o.MSS = be16(b[2:])
		case kind == optWindowScale && n == 3 && syn:
			o.WindowScale = int8(min(b[2], WindowScaleMax))
		case kind == optSACKPermitted && n == 2 && syn:
			o.SACKPermitted = true
		}
		b = b[n:]
	}
	return OK
}

// Len is the length of the options as Put writes them: a multiple of 4.
func (o *TCPOptions) Len() int {
	n := 0
	if o.MSS != 0 {
		n += 4
	}
	if o.WindowScale >= 0 {
		n += 4
	}
	switch {
	case o.Timestamps:
		n += 12 // SACK permitted takes the place of its padding
	case o.SACKPermitted:
		n += 4
	}
	if o.Blocks > 0 {
		n += 4 + 8*int(o.Blocks)
	}
	return n
}

// Put writes the header and its options to the first HeaderLen bytes of b, which must
// be TCPLen and Options.Len. The checksum is left 0.
func (h *TCP) Put(b []byte) {
	put16(b, h.SrcPort)
	put16(b[2:], h.DstPort)
	put32(b[4:], h.Seq)
	put32(b[8:], h.Ack)
	b[12], b[13] = byte(h.HeaderLen/4)<<4, h.Flags
	put16(b[14:], h.Window)
	put32(b[16:], 0) // checksum, urgent pointer
	h.Options.put(b[TCPLen:h.HeaderLen])
}

func (o *TCPOptions) put(b []byte) {
	if o.MSS != 0 {
		put32(b, optMSS<<24|4<<16|uint32(o.MSS))
		b = b[4:]
	}
	if o.WindowScale >= 0 {
		put32(b, optNop<<24|optWindowScale<<16|3<<8|uint32(o.WindowScale))
		b = b[4:]
	}
	switch {
	case o.Timestamps && o.SACKPermitted:
		put32(b, optSACKPermitted<<24|2<<16|optTimestamps<<8|10)
	case o.Timestamps:
		put32(b, timestampsOnly)
	case o.SACKPermitted:
		put32(b, optNop<<24|optNop<<16|optSACKPermitted<<8|2)
		b = b[4:]
	}
	if o.Timestamps {
		put32(b[4:], o.TSVal)
		put32(b[8:], o.TSEcr)
		b = b[12:]
	}
	if o.Blocks > 0 {
		put32(b, optNop<<24|optNop<<16|optSACK<<8|2+8*uint32(o.Blocks))
		for i := range o.Blocks {
			put32(b[4+8*int(i):], o.SACK[i].Start)
			put32(b[8+8*int(i):], o.SACK[i].End)
		}
	}
}
