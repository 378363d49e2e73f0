package wire

import (
	"encoding/binary"

	"github.com/stackmeter/stackmeter/internal/load"
)

// Stamp writes the headers of the datagrams of some messages into b, numbered from
// first; now is the time of all. It returns the number after the last.
func Stamp(b []byte, message, segment int, first uint64, now int64) uint64 {
	for ; len(b) > 0; b = b[min(message, len(b)):] {
		for m := b[:min(message, len(b))]; len(m) > 0; m = m[min(segment, len(m)):] {
			binary.BigEndian.PutUint64(m, first)
			binary.BigEndian.PutUint64(m[8:], uint64(now))
			first++
		}
	}
	return first
}

// Arrivals is what a receiver knows of the datagrams of a flow.
type Arrivals struct {
	Tally    *load.Tally // counted into
	Numbered bool        // they have headers
	next     uint64      // the number after the highest so far
	sent     int64       // when the last one was
	transit  int64       // of the last one: only differences mean something, the clocks have no common zero
	jitter   int64       // 16 times what is told, as in RFC 3550, A.8
}

// maxGap is how many datagrams may be missing at once: more were not
// lost, the header is no header.
const maxGap = 1 << 32

// Take counts what one receive call of the kernel's returned: datagrams of segment bytes,
// of which the last may be shorter; 0: one datagram.
func (a *Arrivals) Take(b []byte, segment int, now int64) {
	if segment <= 0 {
		segment = len(b)
	}
	for len(b) > 0 {
		n := min(segment, len(b))
		if a.Numbered {
			a.one(b[:n], now)
		} else {
			a.Tally.Datagrams++
		}
		b = b[n:]
	}
}

func (a *Arrivals) one(b []byte, now int64) {
	if len(b) < load.DatagramHeader {
		return
	}
	n, sent := binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
	switch gap := n - a.next; {
	case n < a.next: // a duplicate looks the same
		a.Tally.Reordered++
		if a.Tally.Lost > 0 {
			a.Tally.Lost--
		}
	case gap > maxGap:
		return
	default:
		a.Tally.Lost += gap
		a.next = n + 1
	}
	if a.Tally.Datagrams++; a.Tally.Datagrams > 1 && sent == a.sent {
		return // they left in one call: taken one by one they would hide what the calls' times show
	}
	transit := now - sent
	if a.Tally.Datagrams > 1 {
		d := transit - a.transit
		if d < 0 {
			d = -d
		}
		a.jitter += d - (a.jitter+8)>>4
		a.Tally.Jitter = uint64(a.jitter >> 4)
	}
	a.sent, a.transit = sent, transit
}
