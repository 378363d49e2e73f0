package wire

import (
	"encoding/binary"
	"sync/atomic"
)

// ring is a NIC's receive ring, with one writer (the hardware) and one reader (the thread that
// has the NIC's interrupt in hand). A frame, with the virtio-net header that the tap gave it,
// takes as many whole slots as it needs, in one piece.
type ring struct {
	mem        []byte
	head, tail *atomic.Uint64 // slots, counted on
}

// lengthBytes begin a frame's first slot; [skipped] says that the rest of the ring to its end is
// unused.
const (
	lengthBytes = 8 // keeps what follows aligned
	skipped     = 1<<32 - 1
)

func slotsOf(bytes int) uint64 { return uint64(bytes+lengthBytes+slotBytes-1) / slotBytes }

func (r *ring) slot(n uint64) []byte { return r.mem[n%ringSlots*slotBytes:] }

// empty reports whether no frame waits.
func (r *ring) empty() bool { return r.tail.Load() == r.head.Load() }

// put copies a frame into the ring, or reports that there is no room.
func (r *ring) put(frame []byte) bool {
	head := r.head.Load()
	need := slotsOf(len(frame))
	skip := uint64(0)
	if left := ringSlots - head%ringSlots; left < need {
		skip = left
	}
	if head+skip+need-r.tail.Load() > ringSlots {
		return false
	}
	if skip > 0 {
		binary.LittleEndian.PutUint32(r.slot(head), skipped)
		head += skip
	}
	s := r.slot(head)
	binary.LittleEndian.PutUint32(s, uint32(len(frame)))
	copy(s[lengthBytes:], frame)
	r.head.Store(head + need)
	return true
}

// first is where the reader stands.
func (r *ring) first() uint64 { return r.tail.Load() }

// at is the frame at a place between [ring.first] and the writer's, and the place after it; nil
// if the writer has come no further. It is valid until the place after it is freed.
func (r *ring) at(place uint64) (frame []byte, next uint64) {
	for place != r.head.Load() {
		s := r.slot(place)
		n := binary.LittleEndian.Uint32(s)
		if n != skipped {
			return s[lengthBytes:][:n], place + slotsOf(int(n))
		}
		place += ringSlots - place%ringSlots
	}
	return nil, place
}

// free gives the writer what is before a place.
func (r *ring) free(place uint64) { r.tail.Store(place) }
