// Package count counts what the kernel's network stack does, by BPF programs on its
// tracepoints: polls, wake-ups and context switches in a light
// pass, in which nothing happens once a frame, and frames, packets handed up by GRO,
// allocations, frees and copies in a pass that costs something per frame.
//
// The counts are exact: they are held against the kernel's own counters by the
// tests. What they cover is whatever the machine does, of all namespaces; NICs and
// sockets are told apart by network namespace.
//
// Caveats. The slab tracepoints do not see buffers that NAPI keeps for itself and
// frees in bulk: frees come out below allocations. skb_copy_datagram_iovec is not
// hit by a receive with MSG_TRUNC or by splice.
package count

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/profile/attach"
)

// The passes.
const (
	Light = "light" // nothing per frame
	Frame = "frame" // per frame and allocation
)

// Counter holds the programs. It is not safe for concurrent use.
type Counter struct {
	set  *attach.Set
	pass string
}

// Open loads the programs, attached to nothing yet. The error is a
// [host.NotSupportedError] where BPF can't be had.
func Open() (*Counter, error) {
	spec, err := loadCount()
	if err != nil {
		return nil, err
	}
	set, err := attach.Load(spec)
	if err != nil {
		return nil, err
	}
	return &Counter{set: set}, nil
}

// Missing says which tracepoints this kernel does not offer.
func (c *Counter) Missing() []attach.Missing { return c.set.Missing() }

// Start attaches the programs of a pass.
func (c *Counter) Start(pass string) error {
	c.pass = pass
	return c.set.Attach(pass)
}

// Stop detaches them. What they counted stays.
func (c *Counter) Stop() error { return c.set.Detach() }

// Close unloads everything.
func (c *Counter) Close() error { return c.set.Close() }

// Read reads all counters as they stand.
func (c *Counter) Read() (*Counts, error) {
	out := &Counts{Events: map[string]uint64{}, NICs: map[NIC]NICCounts{}, Caches: map[string]CacheCounts{}}
	var perCPU []countCounts
	if err := c.set.Maps[countMapCounters].Lookup(uint32(0), &perCPU); err != nil {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	for _, cpu := range perCPU {
		for i, name := range eventNames {
			if cpu.N[i] > 0 {
				out.Events[name] += cpu.N[i]
			}
		}
	}
	if err := c.readNICs(out); err != nil {
		return nil, err
	}
	return out, c.readCaches(out)
}

func (c *Counter) readNICs(out *Counts) error {
	var key countNicKey
	var values []countNic
	it := c.set.Maps[countMapNics].Iterate()
	for it.Next(&key, &values) {
		var n NICCounts
		for _, v := range values {
			n = n.plus(fromKernel(&v), 1)
		}
		out.NICs[NIC{key.Netns, key.Ifindex}] = n
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the NICs' counters: %w", err)
	}
	return nil
}

func (c *Counter) readCaches(out *Counts) error {
	var key uint64
	var values []countCache
	it := c.set.Maps[countMapCaches].Iterate()
	for it.Next(&key, &values) {
		name := ""
		var n CacheCounts
		for _, v := range values {
			n.Allocs += v.Allocs
			n.Frees += v.Frees
			if v.Name[0] != 0 {
				name = text(v.Name[:])
			}
		}
		sum := out.Caches[name]
		sum.Allocs += n.Allocs
		sum.Frees += n.Frees
		out.Caches[name] = sum
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the caches' counters: %w", err)
	}
	return nil
}

func text(c []int8) string {
	b := make([]byte, 0, len(c))
	for _, x := range c {
		if x == 0 {
			break
		}
		b = append(b, byte(x))
	}
	return string(b)
}
