package ustack

import (
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// sendLong sends a transport packet, of which head and body are the parts, in as many
// fragments as its path needs (RFC 791, 3.2; RFC 8200, 4.5). TCP never comes here: its
// segments are made to fit, and say that they must not be cut. Datagrams over IPv4 may
// be cut by routers too.
func (s *shard) sendLong(ip wire.IP, head, body []byte, now int64) {
	hl := wire.IPHeaderLen(&ip.Dst)
	mtu := s.st.mtu(&ip.Dst, now)
	is6, proto := ip.Is6(), ip.Proto
	if is6 {
		hl += wire.FragmentLen
		ip.Proto = wire.ProtoFragment
	}
	most := (mtu - hl) &^ 7
	total := len(head) + len(body)
	id := s.st.fragmentID.Add(1)
	for at := 0; at < total; at += most {
		f := s.pool.One()
		if f == nil {
			s.counters[txNoFrame]++
			s.counters[fragFails]++
			return // the rest would be of no use
		}
		n := min(most, total-at)
		into := f.Extend(n)
		k := 0
		if at < len(head) {
			k = copy(into, head[at:])
		}
		copy(into[k:], body[max(at-len(head), 0):])
		part := ip
		part.FragOffset, part.MoreFrags, part.ID = at, at+n < total, id
		if is6 {
			part.PutFragment(f.Prepend(wire.FragmentLen), proto)
		}
		s.counters[fragCreates]++
		s.sendIP(f, &part, nil, now)
	}
	s.counters[fragOKs]++
}
