package wire

// ICMP6RouterSolicit is the type of a router solicitation (RFC 4861, 4.1).
const ICMP6RouterSolicit = 133

// RouterAdvert is a router advertisement (RFC 4861, 4.2).
type RouterAdvert struct {
	Lifetime int // seconds as a default router; 0: it is none
	MTU      int // of the link, bytes; 0: not said
	HW       HW  // the router's; valid if HasHW
	HasHW    bool
}

// ParseRouterAdvert reads the message b, its ICMP header included, of a packet from src
// with hop limit ttl: routers speak from link-local addresses, on the link only.
func ParseRouterAdvert(b []byte, src *Addr, ttl uint8) (r RouterAdvert, f Fault) {
	if ttl != 255 {
		return r, NDPHopLimit
	}
	if !src.LinkLocal() {
		return r, IPSource
	}
	if len(b) < 16 {
		return r, ICMPShort
	}
	r.Lifetime = int(be16(b[6:]))
	for o := b[16:]; len(o) > 0; {
		if len(o) < 2 || o[1] == 0 || len(o) < int(o[1])*8 {
			return r, NDPOption
		}
		switch {
		case o[0] == 1 && o[1] == 1:
			r.HW, r.HasHW = HW(o[2:8]), true
		case o[0] == 5 && o[1] == 1:
			r.MTU = int(min(be32(o[4:]), 1<<16))
		}
		o = o[int(o[1])*8:]
	}
	return r, OK
}

// LinkLocal reports whether a is of fe80::/10.
func (a *Addr) LinkLocal() bool { return a[0] == 0xfe && a[1]&0xc0 == 0x80 }
