// Package cpu measures CPU time over exactly a window: per CPU and class, and
// by who used it.
//
// Two edges are read with Mark, Usage gives what lies between them. Reading an
// edge costs less than a millisecond; nothing runs in user space in between.
//
// The sources, best first:
//
//   - "bpf" is exact: BPF programs follow each CPU through its classes (package
//     bpf). It alone tells halted from the idle task's own work, and softirq over
//     a process from the process. Needs root.
//   - "proc-stat-idle" takes utilisation as wall less idle less steal of
//     /proc/stat, which is exact with NO_HZ (to 10 ms an edge and CPU, the file's
//     unit); the classes are shared out by tick. The idle task's own work counts
//     as idle. Needs nothing.
//   - "proc-stat" is what vmstat and top do: ticks. It misjudges any load that is
//     in step with the timer and is here for comparison only.
//
// Without BPF the time is attributed to processes by task-sched: the run times in
// /proc/PID/task/TID/schedstat, exact but stale by up to a tick, with interrupts
// that came over the process in it, and without threads that ended in the window.
// A task woken from idle is charged from its wake-up on (the scheduler saves a
// reading of the clock, RQCF_ACT_SKIP), so that the way out of idle, up to 40 us a
// wake-up in a virtual machine, is in its run time too; with BPF it is not.
//
// User and system time are told apart by the proportion of ticks in every source:
// an exact split would cost two events per system call.
//
// Steal (time in which the hypervisor ran something else) comes from /proc/stat.
// Exact sources see it as part of whatever the CPU was doing. The share that fell
// into busy time, taken as proportional to the time not halted, is subtracted
// from the busy classes and their groups evenly.
package cpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/probe/cpu/bpf"
)

// The names of the sources.
const (
	SourceBPF          = "bpf"
	SourceProcStatIdle = "proc-stat-idle"
	SourceProcStat     = "proc-stat"
)

// Options of Open. The zero value is good.
type Options struct {
	Proc string // root of procfs; "" is /proc
	Sys  string // root of sysfs; "" is /sys
	Want string // a source by name; "" is the best available
	// NoProcesses saves the walk through /proc/PID that attributes time to
	// processes where BPF does not.
	NoProcesses bool
}

// Unavailable says why a source cannot be used here, and what would mend it.
type Unavailable struct {
	Source string
	Reason string
	Mend   string
}

func (u Unavailable) Error() string {
	return fmt.Sprintf("CPU time source %s: %s; %s", u.Source, u.Reason, u.Mend)
}

// Probe reads edges from one source. Its methods are not safe for concurrent use.
type Probe struct {
	opt      Options
	source   string
	tracer   *bpf.Tracer
	forgetAt int // entries in the tracer's table of processes at which the dead are dropped
}

// Open opens the wanted source, or the best available one; then the list says why
// each better one is not. When a source is asked for by name and cannot be had, the
// error is an Unavailable.
func Open(ctx context.Context, o Options) (*Probe, []Unavailable, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	candidates := []string{SourceBPF, SourceProcStatIdle, SourceProcStat}
	if o.Want != "" {
		candidates = []string{o.Want}
	}
	var missing []Unavailable
	for _, name := range candidates {
		p := &Probe{opt: o, source: name}
		err := p.open()
		var u Unavailable
		switch {
		case err == nil:
			return p, missing, nil
		case o.Want != "" || !errors.As(err, &u):
			return nil, missing, err
		}
		missing = append(missing, u)
	}
	return nil, missing, missing[len(missing)-1]
}

func (p *Probe) open() error {
	stat, err := readStat(p.opt.Proc)
	if err != nil {
		return Unavailable{p.source, err.Error(), "mount procfs"}
	}
	switch p.source {
	case SourceProcStat:
		return nil
	case SourceProcStatIdle:
		cmdline, _ := os.ReadFile(filepath.Join(p.opt.Proc, "cmdline"))
		for _, arg := range strings.Fields(string(cmdline)) {
			if arg == "nohz=off" {
				return Unavailable{p.source, "the kernel runs with nohz=off, so that idle time is sampled by tick", "boot without nohz=off"}
			}
		}
		return nil
	case SourceBPF:
		return p.openBPF(stat)
	}
	return fmt.Errorf("CPU time source %q: unknown; the sources are %s, %s and %s", p.source, SourceBPF, SourceProcStatIdle, SourceProcStat)
}

// initialPIDNS is /proc/self/ns/pid in the initial namespace: PROC_PID_INIT_INO,
// include/linux/proc_ns.h.
const initialPIDNS = "pid:[4026531836]"

func (p *Probe) openBPF(stat *Stat) error {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err == nil && ns != initialPIDNS {
		return Unavailable{SourceBPF, "in a PID namespace the process numbers are not the kernel's", "run in the host's PID namespace (docker run --pid=host)"}
	}
	p.tracer, err = bpf.Load(bpf.Config{Online: stat.Online(), PollingStates: pollingStates(p.opt.Sys)})
	if err == nil {
		p.forgetAt = p.tracer.Capacity() / 2
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bpf.ErrPermission):
		return Unavailable{SourceBPF, "no permission to load BPF programs", "run as root (or with CAP_BPF and CAP_PERFMON) outside of a user namespace"}
	case errors.Is(err, bpf.ErrNoBTF):
		return Unavailable{SourceBPF, err.Error(), "use a kernel built with CONFIG_DEBUG_INFO_BTF"}
	}
	return Unavailable{SourceBPF, err.Error(), "use Linux 5.10 or later with CONFIG_BPF_EVENTS"}
}

// Source is the name of the source in use.
func (p *Probe) Source() string { return p.source }

// Mark is one edge of a window. It is valid after the probe is closed.
type Mark struct {
	Time int64 // CLOCK_MONOTONIC, nanoseconds

	source     string
	idleTraced bool
	stat       *Stat
	snapshot   *bpf.Snapshot
	gone       map[bpf.ProcKey]bool // read for the last time in this mark
	tasks      *taskTimes
}

// Mark reads an edge.
func (p *Probe) Mark() (Mark, error) {
	m := Mark{source: p.source}
	var err error
	if p.source == SourceBPF {
		m.idleTraced = p.tracer.IdleTraced()
		if m.snapshot, err = p.tracer.Read(); err != nil {
			return Mark{}, err
		}
		m.Time = m.snapshot.Time
	} else {
		m.Time = clock.Now()
	}
	if m.stat, err = readStat(p.opt.Proc); err != nil {
		return Mark{}, err
	}
	if p.source == SourceBPF {
		m.gone = p.forgetDead(m.snapshot)
		p.nameRunning(m.snapshot)
		return m, nil
	}
	if !p.opt.NoProcesses {
		m.tasks, err = readTaskTimes(p.opt.Proc)
	}
	return m, err
}

// Close releases the source. It may be called twice.
func (p *Probe) Close() error {
	if p.tracer == nil {
		return nil
	}
	return p.tracer.Close()
}

// pollingStates is the set of cpuidle states in which a CPU polls. Without
// cpuidle the idle loop numbers polling 0 and halting 1 (kernel/sched/idle.c).
func pollingStates(sys string) uint32 {
	names, _ := filepath.Glob(filepath.Join(sys, "devices/system/cpu/cpu0/cpuidle/state*/name"))
	if len(names) == 0 {
		return 1
	}
	var set uint32
	for _, path := range names {
		var n uint
		if _, err := fmt.Sscanf(filepath.Base(filepath.Dir(path)), "state%d", &n); err != nil || n > 31 {
			continue
		}
		if name, _ := os.ReadFile(path); strings.TrimSpace(string(name)) == "POLL" {
			set |= 1 << n
		}
	}
	return set
}
