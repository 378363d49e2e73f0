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

// peek is the frame that came first, nil if there is none. It is valid until pop.
func (r *ring) peek() []byte {
	for {
		tail := r.tail.Load()
		if tail == r.head.Load() {
			return nil
		}
		s := r.slot(tail)
		n := binary.LittleEndian.Uint32(s)
		if n != skipped {
			return s[lengthBytes:][:n]
		}
		r.tail.Store(tail + ringSlots - tail%ringSlots)
	}
}

// pop frees the slots of the frame that peek gave.
func (r *ring) pop(frame []byte) { r.tail.Store(r.tail.Load() + slotsOf(len(frame))) }
