package wire

// NDPLen is the length of a solicitation or an advertisement of a neighbour with its
// one option.
const NDPLen = ICMPLen + 16 + 8

// Flags of an advertisement, in ICMP.Rest (RFC 4861, 4.4).
const (
	NDPSolicited = 1 << 30
	NDPOverride  = 1 << 29
)

// NDP is a solicitation or an advertisement of a neighbour (RFC 4861).
type NDP struct {
	Target Addr
	HW     HW // of the option: the source's or the target's
	HasHW  bool
}

// ParseNDP reads the message b behind its ICMP header, which is included in b. ttl is
// the packet's hop limit: other than 255, it crossed a router and is refused.
func ParseNDP(b []byte, ttl uint8) (n NDP, f Fault) {
	if ttl != 255 {
		return n, NDPHopLimit
	}
	if len(b) < ICMPLen+16 {
		return n, ICMPShort
	}
	n.Target = Addr(b[8:24])
	want := byte(1)
	if b[0] == ICMP6Advertisement {
		want = 2
	}
	for o := b[24:]; len(o) > 0; {
		if len(o) < 2 || o[1] == 0 || len(o) < int(o[1])*8 {
			return n, NDPOption
		}
		if o[0] == want && o[1] == 1 {
			n.HW, n.HasHW = HW(o[2:8]), true
		}
		o = o[int(o[1])*8:]
	}
	return n, OK
}

// Put writes target and option behind the ICMP header of the type given, to b[8:NDPLen].
func (n *NDP) Put(b []byte, icmpType uint8) {
	copy(b[8:24], n.Target[:])
	b[24], b[25] = 1, 1
	if icmpType == ICMP6Advertisement {
		b[24] = 2
	}
	copy(b[26:32], n.HW[:])
}

// SolicitedNode returns the multicast address on which a's owner listens for
// solicitations (RFC 4291, 2.7.1).
func SolicitedNode(a *Addr) Addr {
	return Addr{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}
