package wire

// HW is an Ethernet address.
type HW [6]byte

// Broadcast is the address of all stations.
var Broadcast = HW{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// EthernetLen is the length of an Ethernet header in bytes.
const EthernetLen = 14

// Ether types.
const (
	EtherIP4 = 0x0800
	EtherARP = 0x0806
	EtherIP6 = 0x86dd
)

// Ethernet is an Ethernet II header.
type Ethernet struct {
	Dst, Src HW
	Type     uint16
}

// ParseEthernet reads the header at the beginning of b.
func ParseEthernet(b []byte) (h Ethernet, f Fault) {
	if len(b) < EthernetLen {
		return h, EthernetShort
	}
	h.Dst, h.Src, h.Type = HW(b[0:6]), HW(b[6:12]), be16(b[12:])
	return h, OK
}

// Put writes the header to the first EthernetLen bytes of b.
func (h *Ethernet) Put(b []byte) {
	copy(b[0:6], h.Dst[:])
	copy(b[6:12], h.Src[:])
	put16(b[12:], h.Type)
}

// MulticastHW returns the Ethernet address of a multicast address (RFC 1112, 6.4;
// RFC 2464, 7).
func MulticastHW(a *Addr) HW {
	if !a.Is4() {
		return HW{0x33, 0x33, a[12], a[13], a[14], a[15]}
	}
	if a[12] == 255 {
		return Broadcast
	}
	return HW{0x01, 0x00, 0x5e, a[13] & 0x7f, a[14], a[15]}
}

// ARPLen is the length of an ARP packet for IPv4 over Ethernet.
const ARPLen = 28

// ARP operations.
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARP is a packet of RFC 826 for IPv4 over Ethernet.
type ARP struct {
	Op                 uint16
	SenderHW, TargetHW HW
	Sender, Target     Addr
}

// ParseARP reads the packet b.
func ParseARP(b []byte) (a ARP, f Fault) {
	if len(b) < ARPLen {
		return a, ARPShort
	}
	if be16(b) != 1 || be16(b[2:]) != EtherIP4 || b[4] != 6 || b[5] != 4 {
		return a, ARPKind
	}
	a.Op = be16(b[6:])
	a.SenderHW, a.Sender = HW(b[8:14]), Addr4(b[14:])
	a.TargetHW, a.Target = HW(b[18:24]), Addr4(b[24:])
	return a, OK
}

// Put writes the packet to the first ARPLen bytes of b.
func (a *ARP) Put(b []byte) {
	put16(b, 1)
	put16(b[2:], EtherIP4)
	b[4], b[5] = 6, 4
	put16(b[6:], a.Op)
	copy(b[8:14], a.SenderHW[:])
	copy(b[14:18], a.Sender[12:])
	copy(b[18:24], a.TargetHW[:])
	copy(b[24:28], a.Target[12:])
}
