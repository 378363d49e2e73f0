package wire

import (
	"net/netip"

	"github.com/stackmeter/stackmeter/memcopy"
)

// Addr is an IP address in 16 bytes; IPv4 addresses are mapped (::ffff:a.b.c.d).
type Addr [16]byte

var mapped = [12]byte{10: 0xff, 11: 0xff}

// AddrOf converts from the type of package netip, without its zone.
func AddrOf(a netip.Addr) Addr { return a.As16() }

// Addr4 is the address in the four bytes of b.
func Addr4(b []byte) (a Addr) {
	a[10], a[11] = 0xff, 0xff
	copy(a[12:], b[:4])
	return a
}

// Is4 reports whether a is an IPv4 address.
func (a *Addr) Is4() bool { return [12]byte(a[:12]) == mapped }

// Netip converts to the type of package netip; IPv4 addresses are unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String is the usual text of the address.
func (a Addr) String() string { return a.Netip().String() }

// Multicast reports whether a is a multicast address, or IPv4's limited broadcast.
func (a *Addr) Multicast() bool {
	if a.Is4() {
		return a[12]&0xf0 == 0xe0 || [4]byte(a[12:]) == [4]byte{255, 255, 255, 255}
	}
	return a[0] == 0xff
}

// Unspecified reports whether a is 0.0.0.0 or ::.
func (a *Addr) Unspecified() bool {
	return *a == Addr{} || a.Is4() && [4]byte(a[12:]) == [4]byte{}
}

// Version returns 4 or 6.
func (a *Addr) Version() int {
	if a.Is4() {
		return 4
	}
	return 6
}

// Pseudo returns the sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1) of a
// transport packet of length bytes.
func Pseudo(src, dst *Addr, proto uint8, length int) (p memcopy.Partial) {
	// The words of a sum commute, so that one layout serves both versions: IPv4's
	// addresses are the last four bytes, and the mapping is left out.
	from := 0
	if src.Is4() {
		from = 12
	}
	for i := from; i < 16; i += 4 {
		p.AddUint32(be32(src[i:]))
		p.AddUint32(be32(dst[i:]))
	}
	p.AddUint32(uint32(length))
	p.AddUint16(uint16(proto))
	return p
}

func be16(b []byte) uint16 { return uint16(b[1]) | uint16(b[0])<<8 }

func be32(b []byte) uint32 {
	return uint32(b[3]) | uint32(b[2])<<8 | uint32(b[1])<<16 | uint32(b[0])<<24
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}
