package ustack

import (
	"fmt"

	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Techniques are the proposals of Anand & Hartner (2002) as switches, set when a stack
// is made. The zero Techniques is a good choice; the benchmarks of the devices turn each
// switch on its own.
type Techniques struct {
	// Gather is how many frames pass the layers together; those of a flow are merged
	// before TCP sees them. 1 hands up each on its own; 0: 64.
	Gather int

	// Checksum says when the checksums of TCP segments are verified that the device
	// has not verified.
	Checksum Checksum

	// Copy names the routine of package memcopy that moves bytes between frames and
	// the application; "": the best for the length.
	Copy string

	// Buffers says how frames are come by.
	Buffers frame.Buffers

	// LockThread gives each shard a thread of its own, on which nothing else runs.
	// Otherwise a goroutine that it wakes may run on the same thread next.
	LockThread bool
}

// Checksum says when checksums are verified: the paper's section 2.3.
type Checksum uint8

// Times to verify.
const (
	// OnArrival verifies in a pass of its own, before TCP sees the segment.
	OnArrival Checksum = iota
	// InReader verifies while copying to the reader's buffer, where a reader waits;
	// else as OnArrival. The copy is then that of memcopy's best fused routine, and
	// not the one that Copy names.
	InReader
)

// gatherDefault is enough to spread the cost of system calls and small enough for the
// frames of a bunch to stay in the caches.
const gatherDefault = 64

// complete fills in what was left to the stack.
func (t Techniques) complete() (Techniques, copier, error) {
	if t.Gather == 0 {
		t.Gather = gatherDefault
	}
	if t.Gather < 0 || t.Gather > 1024 {
		return t, nil, fmt.Errorf("ustack: gather of %d frames: want 1 to 1024", t.Gather)
	}
	if t.Copy == "" {
		return t, memcopy.Copy, nil
	}
	r, ok := memcopy.Lookup(t.Copy)
	if !ok || r.Family != memcopy.FamilyCopy {
		return t, nil, fmt.Errorf("ustack: no copy routine is called %q; 'stackmeter copy' lists them", t.Copy)
	}
	if err := r.Check(); err != nil {
		return t, nil, fmt.Errorf("ustack: %w", err)
	}
	return t, r.Copy, nil
}

// copier copies as the built-in copy.
type copier func(dst, src []byte) int
