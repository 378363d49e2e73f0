package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stackmeter/stackmeter/internal/clock"
)

// Class is what a CPU does at an instant.
type Class int

// The classes. Every CPU is in exactly one at any time.
const (
	Task     Class = iota // a task that is not the idle task, outside of interrupts
	SoftIRQ               // a softirq, wherever it runs
	IRQ                   // a hardware interrupt handler
	IdleBusy              // the idle task, not halted
	Halted                // halted in the idle task
	Offline               // dead between going offline and coming online
	Classes  = 6
)

// CPU is one CPU's sums since it was first seen, up to the snapshot's time.
type CPU struct {
	Seen      bool  // false: no event yet, as on a CPU that was never online
	Start     int64 // CLOCK_MONOTONIC of the first event
	NS        [Classes]int64
	OverIdle  [Classes]int64 // the part of NS that ran over the idle task
	Events    uint64
	Dropped   uint64 // process switches whose time went to no process, the map being full
	DroppedNS int64
	Deferred  uint64 // interrupts charged to the softirq they came in, for want of a consistent state
	Anomalies uint64 // events that did not fit the state
	Missed    uint64 // switches that were not seen and had to be inferred
	MissedNS  int64  // the lengths of the segments in which they lay, where nothing told how to divide them
}

// Proc is what one process used on one CPU.
type Proc struct {
	NS      [3]int64 // Task, SoftIRQ, IRQ
	Comm    string   // of the group leader; empty when the process has not been switched out yet
	Kthread bool
	Last    int64 // CLOCK_MONOTONIC of the last switch away from it
}

// ProcKey names a process on a CPU.
type ProcKey struct {
	CPU, TGID int
}

// Snapshot is one reading.
type Snapshot struct {
	Time  int64 // CLOCK_MONOTONIC in nanoseconds, of all CPUs alike
	CPUs  []CPU // by CPU number, all possible ones
	Procs map[ProcKey]Proc
}

// Read takes a snapshot. Segments in progress are counted up to its time.
// It is not safe for concurrent use.
func (t *Tracer) Read() (*Snapshot, error) {
	if t.memory == nil {
		return nil, errors.New("the CPU time programs are closed")
	}
	running := make([]cputimeCpu, t.memory.n)
	if err := t.refresh(running); err != nil {
		return nil, err
	}
	s := &Snapshot{Time: clock.Now(), CPUs: make([]CPU, t.memory.n)}
	for n := range running {
		if err := t.readCPU(n, &running[n]); err != nil {
			return nil, err
		}
		s.CPUs[n] = charge(&running[n], s.Time)
	}
	count, err := t.readProcs()
	if err != nil {
		return nil, err
	}
	s.Procs = make(map[ProcKey]Proc, count+len(running))
	for i := range count {
		k, v := t.keys[i], &t.values[i]
		s.Procs[ProcKey{int(k.Cpu), int(k.Tgid)}] = Proc{
			NS:   [3]int64{int64(v.Ns[0]), int64(v.Ns[1]), int64(v.Ns[2])},
			Comm: comm(&v.Comm), Kthread: v.Kthread != 0, Last: int64(v.Last),
		}
	}
	for n := range running {
		c := &running[n]
		if c.Start == 0 || c.Tgid == 0 {
			continue
		}
		k := ProcKey{n, int(c.Tgid)}
		p, known := s.Procs[k]
		if known && p.Last > int64(c.Since) {
			continue // flushed between the two readings: already in
		}
		for i := range p.NS {
			p.NS[i] += int64(c.Cur[i])
		}
		if c.Class < 3 {
			p.NS[c.Class] += s.Time - int64(c.Since)
		}
		if !known {
			p.Kthread = c.Kthread != 0
		}
		s.Procs[k] = p
	}
	return s, nil
}

// stale is how long a segment may be in progress before a reading makes sure, by
// an interrupt to that CPU, that it is what it seems to be.
const stale = int64(time.Millisecond)

// refresh looks at the CPUs that were without an event for long.
func (t *Tracer) refresh(buf []cputimeCpu) error {
	var old []int
	now := clock.Now()
	for n := range buf {
		c := &buf[n]
		if err := t.readCPU(n, c); err != nil {
			return err
		}
		if c.Start != 0 && c.Class != uint32(Offline) && now-int64(c.Since) > stale {
			old = append(old, n)
		}
	}
	return t.seed(old)
}

// readCPU copies one CPU's state until the copy is consistent: the sequence
// number even and the same at both ends, and the classes summing to the time
// since the start (which also holds on machines that reorder stores). A virtual CPU may be taken off its
// CPU in the middle of a change, for as long as the hypervisor likes.
func (t *Tracer) readCPU(n int, c *cputimeCpu) error {
	var after cputimeCpu
	for pauses := 0; ; pauses++ {
		for range 1000 {
			t.memory.copyCPU(n, c)
			t.memory.copyCPU(n, &after)
			if *c == after && c.Seq&1 == 0 && closes(c) {
				return nil
			}
		}
		if pauses == readPauses {
			return fmt.Errorf("CPU %d: its state changed in each reading of %v", n, readPauses*readPause)
		}
		time.Sleep(readPause)
	}
}

// readPauses bounds how long a reading waits for a state that doesn't change in it.
const (
	readPause  = 200 * time.Microsecond
	readPauses = 5000
)

func closes(c *cputimeCpu) bool {
	var sum uint64
	for _, ns := range c.Ns {
		sum += ns
	}
	return c.Start == 0 || sum == c.Since-c.Start
}

// charge adds the segment in progress. Its length is negative by a little when
// an event came between the clock's reading and this CPU's.
func charge(c *cputimeCpu, now int64) CPU {
	out := CPU{
		Seen: c.Start != 0, Start: int64(c.Start), Events: c.Events, Dropped: c.Dropped,
		DroppedNS: int64(c.DroppedNs), Deferred: c.Deferred, Anomalies: c.Anomalies,
		Missed: c.Missed, MissedNS: int64(c.MissedNs),
	}
	if !out.Seen {
		return out
	}
	for i := range Classes {
		out.NS[i], out.OverIdle[i] = int64(c.Ns[i]), int64(c.Idle[i])
	}
	d := now - int64(c.Since)
	if int(c.Class) < Classes {
		out.NS[c.Class] += d
		if c.Tgid == 0 {
			out.OverIdle[c.Class] += d
		}
	}
	return out
}

// readProcs fills t.keys and t.values.
func (t *Tracer) readProcs() (int, error) {
	var cursor ebpf.MapBatchCursor
	n, err := t.procs.BatchLookup(&cursor, t.keys, t.values, nil)
	if err == nil || errors.Is(err, ebpf.ErrKeyNotExist) {
		return n, nil
	}
	return 0, fmt.Errorf("read the processes' CPU time: %w", err)
}

// Forget drops the entries of processes that are gone. Their last value must
// have been read: a later snapshot no longer has them.
func (t *Tracer) Forget(keys []ProcKey) {
	for _, k := range keys {
		// An entry that is gone already is what was wanted.
		_ = t.procs.Delete(cputimeProcKey{Cpu: uint32(k.CPU), Tgid: uint32(k.TGID)})
	}
}

// Capacity is how many entries of processes there is room for.
func (t *Tracer) Capacity() int { return len(t.keys) }

func comm(c *[16]int8) string {
	b := make([]byte, 0, len(c))
	for _, x := range c {
		if x == 0 {
			break
		}
		b = append(b, byte(x))
	}
	return string(b)
}
