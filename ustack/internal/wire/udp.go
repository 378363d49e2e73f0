package wire

// UDPLen is the length of a UDP header in bytes.
const UDPLen = 8

// UDP is a UDP header.
type UDP struct {
	SrcPort, DstPort uint16
	Length           int    // of header and payload
	Checksum         uint16 // 0: none
}

// ParseUDP reads the header at the beginning of b, the payload of an IP packet.
func ParseUDP(b []byte) (h UDP, f Fault) {
	if len(b) < UDPLen {
		return h, UDPShort
	}
	h = UDP{be16(b), be16(b[2:]), int(be16(b[4:])), be16(b[6:])}
	if h.Length < UDPLen || h.Length > len(b) {
		return h, UDPLength
	}
	return h, OK
}

// Put writes the header to the first UDPLen bytes of b.
func (h *UDP) Put(b []byte) {
	put16(b, h.SrcPort)
	put16(b[2:], h.DstPort)
	put16(b[4:], uint16(h.Length))
	put16(b[6:], h.Checksum)
}

// UDPChecksumAt is where the checksum is in a UDP header.
const UDPChecksumAt = 6
