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

	// Bunch is how many frames leave together, at most: where a call makes more, the
	// device gets them in bunches of so many; 1 hands down each on its own; 0: 128.
	Bunch int

	// Copy names the routine of package memcopy that moves received bytes to the
	// application, SendCopy the one that moves its bytes to the send buffer, and on to
	// frames where the device makes checksums; "": the best for the length.
	Copy, SendCopy string

	// Fused names the routine that copies and sums in one pass: on receive with InReader,
	// on send where the stack makes the checksum; "": the best for the length.
	Fused string

	// Align has frames lie so that the payload of a TCP segment with timestamps begins
	// at a multiple of 64 bytes, a cache line; else it begins where the headers end. The
	// version of IP is that of the stack's first address. A device that says itself where
	// frames begin, as AF_XDP does, heeds it on send only; with a pipe the sender decides.
	Align bool

	// ACKs says how many acknowledgements the segments of a bunch get.
	ACKs ACKs

	// Buffers says how frames are come by.
	Buffers frame.Buffers

	// Locality says where the packets of a flow are processed.
	Locality Locality

	// Wake says where a goroutine runs that received bytes have woken.
	Wake Wake

	// LockThread gives each shard a thread of its own, on which nothing else runs, and
	// so implies WakeAny.
	LockThread bool
}

// ACKs says how acknowledgements are thinned.
type ACKs uint8

// Ways to acknowledge.
const (
	// ACKBunch acknowledges what a bunch has for a connection once, as receivers with
	// merging (LRO, GRO) do; RFC 9293, 3.8.6.3, has it that every second segment should
	// be acknowledged, and allows for less.
	ACKBunch ACKs = iota
	// ACKSecond acknowledges every second full segment, merged or not: TCP sees at most
	// two at a time. What the device has merged is one.
	ACKSecond
)

// Locality says where the packets of a flow are processed.
type Locality uint8

// Places.
const (
	// LocalShard processes all packets of a flow in the shard that owns it.
	LocalShard Locality = iota
	// Spread deals the packets of each queue out to all CPUs in turn, one at a time, as
	// the kernels of the paper's baseline did with their interrupts. Each CPU verifies its
	// packets alone and then waits for the lock of the shard, whose memory moves from cache
	// to cache; packets overtake one another. It is there to be compared with.
	Spread
)

// Wake says where a goroutine runs that was woken.
type Wake uint8

// Places to run at.
const (
	// WakeSame lets it run before the shard's next bunch on the thread that the shard
	// runs on: it finds the bytes in that CPU's cache.
	WakeSame Wake = iota
	// WakeAny leaves it to the scheduler, which gives it to an idle thread, on
	// another CPU, as a rule.
	WakeAny
)

// Checksum says when checksums are verified: the paper's section 2.3.
type Checksum uint8

// Times to verify.
const (
	// OnArrival verifies in a pass of its own, before TCP sees the segment.
	OnArrival Checksum = iota
	// InReader verifies while copying to the reader's buffer, where a reader waits;
	// else as OnArrival. The copy is then made by the routine that Fused names, and
	// not by that of Copy.
	InReader
)

// gatherDefault is enough to spread the cost of system calls and small enough for the
// frames of a bunch to stay in the caches.
const gatherDefault = 64

// bunchDefault bounds how much is made before any of it leaves.
const bunchDefault = 128

// routines are the functions that Techniques name.
type routines struct {
	copy, sendCopy copier
	fuse           fuser
}

// copier copies as the built-in copy.
type copier func(dst, src []byte) int

// fuser is a copier that adds what it copies to sum.
type fuser func(sum *memcopy.Partial, dst, src []byte) int

// complete fills in what was left to the stack.
func (t Techniques) complete() (Techniques, routines, error) {
	var r routines
	for _, n := range []struct {
		what  string
		value *int
		none  int
	}{{"gather", &t.Gather, gatherDefault}, {"bunch", &t.Bunch, bunchDefault}} {
		if *n.value == 0 {
			*n.value = n.none
		}
		if *n.value < 0 || *n.value > 1024 {
			return t, r, fmt.Errorf("ustack: %s of %d frames: want 1 to 1024", n.what, *n.value)
		}
	}
	if t.LockThread {
		t.Wake = WakeAny
	}
	r = routines{copy: memcopy.Copy, sendCopy: memcopy.Copy, fuse: (*memcopy.Partial).CopyAdd}
	for _, c := range []struct {
		name string
		f    *copier
	}{{t.Copy, &r.copy}, {t.SendCopy, &r.sendCopy}} {
		if c.name == "" {
			continue
		}
		m, err := lookup(c.name, memcopy.FamilyCopy)
		if err != nil {
			return t, r, err
		}
		*c.f = m.Copy
	}
	if t.Fused == "" {
		return t, r, nil
	}
	m, err := lookup(t.Fused, memcopy.FamilyFused)
	if err != nil {
		return t, r, err
	}
	r.fuse = func(sum *memcopy.Partial, dst, src []byte) int {
		n, part := m.CopySum(dst, src)
		sum.Combine(part)
		return n
	}
	return t, r, nil
}

// lookup finds a routine that this CPU can run.
func lookup(name string, family memcopy.Family) (memcopy.Routine, error) {
	r, ok := memcopy.Lookup(name)
	if !ok || r.Family != family {
		return r, fmt.Errorf("ustack: no %s routine is called %q; 'stackmeter copy' lists them", family, name)
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("ustack: %w", err)
	}
	return r, nil
}
