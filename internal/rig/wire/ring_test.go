package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestRing puts frames of all lengths in and takes them out in bunches, against a queue.
func TestRing(t *testing.T) {
	m, err := newMemory(1, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	r := &m.rings[Client][0]
	rng := rand.New(rand.NewPCG(5, 6))
	var queue [][]byte
	slots, refused := uint64(0), 0
	for n := range 50_000 {
		if rng.IntN(4) < 1+n/5000%3 || len(queue) == 0 { // in turn it empties, stays and fills
			size := 4 + rng.IntN(1600)
			if rng.IntN(20) == 0 {
				size = 4 + rng.IntN(maxFrame-4)
			}
			frame := bytes.Repeat([]byte{byte(n)}, size)
			binary.NativeEndian.PutUint32(frame, uint32(n))
			if r.put(frame) {
				queue = append(queue, frame)
				slots += slotsOf(size)
			} else {
				refused++
				if slots+2*slotsOf(maxFrame) < ringSlots { // no room even with what is skipped at the end
					t.Fatalf("a frame of %d bytes is refused with %d slots taken", size, slots)
				}
			}
			continue
		}
		place := r.first()
		for range 1 + rng.IntN(5) {
			frame, next := r.at(place)
			if len(queue) == 0 {
				if frame != nil {
					t.Fatal("a frame that nobody put")
				}
				break
			}
			if !bytes.Equal(frame, queue[0]) {
				t.Fatalf("%d bytes, want %d", len(frame), len(queue[0]))
			}
			slots -= slotsOf(len(frame))
			queue, place = queue[1:], next
		}
		r.free(place)
	}
	if refused == 0 {
		t.Error("the ring was never full")
	}
}

func TestFollowing(t *testing.T) {
	m, err := newMemory(1, []int{3, 4, 5, 9})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	p := &m.ports[Server][0]
	if i := following(&p.route, 0, m.cpus()); i != -1 {
		t.Errorf("%d of an empty route", i)
	}
	if err := m.store(&p.route, []int{9, 4}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for n := range 8 {
		at = following(&p.route, at, m.cpus())
		if want := []uint32{4, 9}[n%2]; m.head.ids[at] != want {
			t.Errorf("interrupt %d to CPU %d, want %d", n, m.head.ids[at], want)
		}
	}
	if got := m.load(&p.route).String(); got != "4,9" {
		t.Errorf("route %s", got)
	}
}
