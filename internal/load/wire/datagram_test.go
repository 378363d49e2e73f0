package wire

import (
	"encoding/binary"
	"testing"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestArrivals loses, doubles, swaps and delays datagrams.
func TestArrivals(t *testing.T) {
	a := Arrivals{Tally: &load.Tally{}, Numbered: true}
	for _, n := range []uint64{0, 1, 4, 2, 5, 5, 1 << 50, 6} {
		b := make([]byte, load.DatagramHeader)
		binary.BigEndian.PutUint64(b, n)
		a.Take(b, 0, 1000)
	}
	if want := (load.Tally{Datagrams: 7, Reordered: 2}); *a.Tally != want {
		t.Errorf("%+v, want %+v", *a.Tally, want)
	}
	// RFC 3550: each difference adds a sixteenth of itself.
	a = Arrivals{Tally: &load.Tally{}, Numbered: true}
	b := make([]byte, load.DatagramHeader)
	now := int64(1e9)
	for n := range uint64(2000) {
		binary.BigEndian.PutUint64(b, n)
		binary.BigEndian.PutUint64(b[8:], n*1000)
		a.Take(b, 0, now+int64(n)*1000+int64(n%2)*160)
	}
	if a.Tally.Jitter < 150 || a.Tally.Jitter > 160 {
		t.Errorf("jitter %d of datagrams that are 160 ns early and late in turns", a.Tally.Jitter)
	}
}

// FuzzDatagrams stamps messages, walks them as GRO gives them and must find them all again; then it
// reads what nobody stamped.
func FuzzDatagrams(f *testing.F) {
	f.Add(uint16(1400), uint16(14000), uint16(2), []byte("\x18\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x68\x00\x00\x00\x78\x05\x00\x00"))
	f.Add(uint16(16), uint16(16), uint16(1), []byte{})
	f.Fuzz(func(t *testing.T, segment, message, messages uint16, noise []byte) {
		s, m := max(load.DatagramHeader, int(segment)), max(load.DatagramHeader, int(message))
		if last := m % s; last > 0 && last < load.DatagramHeader {
			m -= last
		}
		if m < load.DatagramHeader {
			return
		}
		n := int(messages)%8 + 1
		b := make([]byte, n*m)
		next := Stamp(b, m, s, 7, 1)
		a := Arrivals{Tally: &load.Tally{}, Numbered: true, next: 7}
		for i := range n {
			a.Take(b[i*m:(i+1)*m], s, 2)
		}
		if a.Tally.Datagrams != next-7 || a.Tally.Lost+a.Tally.Reordered > 0 || a.next != next {
			t.Errorf("%d stamped, found %+v", next-7, *a.Tally)
		}
		a.Take(noise, int(segment)%9, 3)
		spec := &load.FlowSpec{}
		if _, _, ok := Called(spec, noise); ok && len(noise) != CallBytes {
			t.Errorf("%d bytes were a call", len(noise))
		}
	})
}
