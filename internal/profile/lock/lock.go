// Package lock tells which kernel locks were waited for: by the function that took
// the lock, its caller and the kind of lock, how often, how long in all and the longest
// wait. It is lockmeter's counterpart, on the lock:contention_begin and
// contention_end tracepoints (Linux 5.19).
//
// A contended lock costs some 7 us more for the stack that is taken; a free one costs
// nothing. Sleeping locks are waited for asleep: their wait is no CPU time.
package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/profile/attach"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

const pass = "lock"

// Site is where a lock was waited for.
type Site struct {
	Kind     string        `json:"kind"`     // spin, read, write, mutex, ... of the lock and the way it was asked for
	Function string        `json:"function"` // that took the lock: _raw_spin_lock_bh
	Caller   string        `json:"caller"`   // that asked for it: the first function that is no lock's own
	Stack    []string      `json:"stack"`    // from the caller on, leaf to root
	Count    uint64        `json:"waits"`
	Total    time.Duration `json:"total_nanoseconds"`
	Longest  time.Duration `json:"longest_nanoseconds"`
}

// Tracer holds the programs. It is not safe for concurrent use.
type Tracer struct{ set *attach.Set }

// Open loads the programs, attached to nothing yet. The error is a
// [host.NotSupportedError] where they can't be had.
func Open() (*Tracer, error) {
	spec, err := loadLock()
	if err != nil {
		return nil, err
	}
	set, err := attach.Load(spec)
	if err != nil {
		return nil, err
	}
	if missing := set.Missing(); len(missing) > 0 {
		set.Close()
		return nil, &host.NotSupportedError{What: "lock contention", Reason: missing[0].Tracepoint + ": " + missing[0].Reason, Mend: "use Linux 5.19 or later"}
	}
	return &Tracer{set}, nil
}

// Start attaches the programs. What they count adds to what they counted before.
func (t *Tracer) Start() error { return t.set.Attach(pass) }

// Stop detaches them.
func (t *Tracer) Stop() error { return t.set.Detach() }

// Close unloads everything.
func (t *Tracer) Close() error { return t.set.Close() }

// Lost is what could not be told.
type Lost struct {
	Waits      uint64 `json:"waits"`      // for which there was no room
	Collisions uint64 `json:"collisions"` // waits whose stack's slot held another
}

// Read returns the sites since Open, longest total wait first. Waits that differ in
// nothing but the stack above their caller's caller are added up.
func (t *Tracer) Read(names *symbol.Table) ([]Site, Lost, error) {
	byPlace := map[string]*Site{}
	var k lockSiteKey
	var perCPU []lockSite
	it := t.set.Maps[lockMapSites].Iterate()
	for it.Next(&k, &perCPU) {
		var count, total, longest uint64
		for _, v := range perCPU {
			count += v.Count
			total += v.TotalNs
			longest = max(longest, v.LongestNs)
		}
		s := t.site(k, names)
		if slices.ContainsFunc(s.Stack, switching) {
			continue
		}
		place := s.Kind + " " + s.Function + " " + strings.Join(s.Stack[:min(2, len(s.Stack))], " ")
		known := byPlace[place]
		if known == nil {
			byPlace[place] = &s
			known = &s
		}
		known.Count += count
		known.Total += time.Duration(total)
		known.Longest = max(known.Longest, time.Duration(longest))
	}
	if err := it.Err(); err != nil {
		return nil, Lost{}, fmt.Errorf("read the lock sites: %w", err)
	}
	var out []Site
	for _, s := range byPlace {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Site) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Caller, b.Caller))
	})
	var lost [2]uint64
	for i := range lost {
		var n []uint64
		if err := t.set.Maps[lockMapLost].Lookup(uint32(i), &n); err != nil {
			return nil, Lost{}, fmt.Errorf("read what was lost: %w", err)
		}
		for _, x := range n {
			lost[i] += x
		}
	}
	return out, Lost{lost[0], lost[1]}, nil
}

// switching tells the functions in which programs are attached and detached: a profiler
// waits for itself there.
func switching(f string) bool {
	return strings.HasPrefix(f, "tracepoint_probe_") || strings.HasPrefix(f, "bpf_raw_tp_link_") || strings.HasPrefix(f, "bpf_tracing_link_")
}

// depth is that of the programs' stacks.
const depth = 24

func (t *Tracer) site(k lockSiteKey, names *symbol.Table) Site {
	s := Site{Kind: kind(k.Flags), Function: "not known", Caller: "not known"}
	if k.Stack < 0 {
		return s
	}
	var stack [depth]uint64
	if err := t.set.Maps[lockMapStacks].Lookup(uint32(k.Stack), &stack); err != nil {
		return s
	}
	var frames []string
	for _, a := range stack {
		if a == 0 {
			break
		}
		name, ok := names.Find(a)
		if !ok {
			name = fmt.Sprintf("0x%x", a)
		}
		frames = append(frames, name)
	}
	s.Function, s.Stack = split(frames)
	if len(s.Stack) > 0 {
		s.Caller = s.Stack[0]
	}
	return s
}

// split finds the lock's function, the last of those that belong to locks, and what
// called it.
func split(frames []string) (function string, rest []string) {
	function = "not known"
	i := 0
	for ; i < len(frames); i++ {
		f := frames[i]
		if !isLock(f) {
			break
		}
		if !isTracing(f) {
			function = f
		}
	}
	return function, frames[i:]
}

func isTracing(f string) bool {
	for _, p := range []string{"bpf_", "__bpf_", "__traceiter_", "__trace_"} {
		if strings.HasPrefix(f, p) {
			return true
		}
	}
	return false
}

// isLock tells the functions that implement locks (kernel/locking, and the sockets'
// own lock, which is one only by its use).
func isLock(f string) bool {
	if isTracing(f) {
		return true
	}
	for _, p := range []string{
		"_raw_spin_", "_raw_read_", "_raw_write_", "native_queued_spin_", "__pv_queued_spin_", "queued_spin_", "queued_read_", "queued_write_",
		"mutex_", "__mutex_", "down_read", "down_write", "__down_", "rwsem_", "rt_mutex_", "__rt_mutex_", "rt_spin_", "percpu_down_", "__percpu_down_",
		"__raw_callee_save___", "ww_mutex_", "osq_", "lock_mm_and_find_vma", "__ww_mutex_",
	} {
		if strings.HasPrefix(f, p) {
			return true
		}
	}
	return false
}

// kind reads the flags LCB_F_ of include/trace/events/lock.h.
func kind(flags uint32) string {
	kinds := []string{"spin", "read", "write", "rt", "percpu", "mutex"}
	var out []string
	for i, name := range kinds {
		if flags&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return "semaphore"
	}
	return strings.Join(out, "-")
}
