package wire

import (
	"slices"
	"testing"
)

// TestBuses wants both ways of a NIC on one bus, alone or with a neighbour's, and as much for a NIC
// that is alone on a shared bus as for one that shares none.
func TestBuses(t *testing.T) {
	m, err := newMemory(3, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	h := newHardware(m)
	for perBus, want := range map[int][][]int{
		0: {{0}, {0}, {1}, {1}, {2}, {2}},
		1: {{0, 0}, {1, 1}, {2, 2}},
		2: {{0, 0, 1, 1}, {2, 2}},
	} {
		if err := m.set(Settings{BusRate: 8e6, NICsPerBus: perBus}); err != nil {
			t.Fatal(err)
		}
		const now = 1e12
		h.refresh(now)
		var got [][]int
		for i := range h.groups {
			g := &h.groups[i]
			var nics []int
			for _, l := range g.lanes {
				nics = append(nics, l.link)
			}
			got = append(got, nics)
			// The bucket holds 1 ms of 8 Mb/s: 1000 bytes.
			g.bus.take(3000)
			if full := g.bus.next(now) > now; full != (perBus > 0) {
				t.Errorf("%d NICs a bus, NICs %v: full after 3000 bytes at once: %v", perBus, nics, full)
			}
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%d NICs a bus: NICs on each %v, want %v", perBus, got, want)
		}
	}
}
