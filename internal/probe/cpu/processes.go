package cpu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/probe/cpu/bpf"
)

// Process is what one process used in a window, over all CPUs, in seconds.
type Process struct {
	PID     int
	Comm    string
	Kthread bool
	// Task is its own time; without BPF the two others are in it.
	Task float64
	// SoftIRQ and IRQ ran over it: nested in its system calls or interrupting it.
	SoftIRQ, IRQ float64

	perCPU map[int]float64 // the sum of the three by CPU; nil when not known
	task   map[int]float64 // Task by CPU
}

// On is the time on one CPU in seconds, and whether the source knows.
func (p *Process) On(cpu int) (seconds float64, ok bool) {
	return p.perCPU[cpu], p.perCPU != nil
}

// Seconds is all the time in which a CPU was in this process's hands.
func (p *Process) Seconds() float64 { return p.Task + p.SoftIRQ + p.IRQ }

// Processes lists who ran between two marks, most first. Steal is not subtracted.
func Processes(a, b Mark) []Process {
	var list []Process
	if b.snapshot != nil && a.snapshot != nil {
		list = processesBPF(a, b)
	} else if a.tasks != nil && b.tasks != nil {
		list = processesSched(a.tasks, b.tasks)
	}
	slices.SortFunc(list, func(x, y Process) int {
		switch d := y.Seconds() - x.Seconds(); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return x.PID - y.PID
	})
	return list
}

func processesBPF(a, b Mark) []Process {
	byPID := map[int]*Process{}
	last := map[int]int64{}
	for k, end := range b.snapshot.Procs {
		if offline(a, b, k.CPU) {
			continue
		}
		start := a.snapshot.Procs[k]
		if a.gone[k] {
			start = bpf.Proc{}
		}
		var s [3]float64
		for i := range s {
			s[i] = float64(end.NS[i]-start.NS[i]) / 1e9
		}
		if s == [3]float64{} {
			continue
		}
		p := byPID[k.TGID]
		if p == nil {
			p = &Process{PID: k.TGID, perCPU: map[int]float64{}, task: map[int]float64{}}
			byPID[k.TGID] = p
		}
		if p.Comm == "" || end.Comm != "" && end.Last > last[k.TGID] {
			p.Comm, p.Kthread, last[k.TGID] = end.Comm, end.Kthread, end.Last
		}
		p.Task += s[bpf.Task]
		p.SoftIRQ += s[bpf.SoftIRQ]
		p.IRQ += s[bpf.IRQ]
		p.perCPU[k.CPU] += s[0] + s[1] + s[2]
		p.task[k.CPU] += s[bpf.Task]
	}
	list := make([]Process, 0, len(byPID))
	for _, p := range byPID {
		list = append(list, *p)
	}
	return list
}

func processesSched(a, b *taskTimes) []Process {
	byPID := map[int]float64{}
	for k, end := range b.run {
		if d := end - a.run[k]; d > 0 { // less: the thread's number was used again
			byPID[k[0]] += float64(d) / 1e9
		}
	}
	list := make([]Process, 0, len(byPID))
	for pid, s := range byPID {
		info := b.procs[pid]
		list = append(list, Process{PID: pid, Comm: info.comm, Kthread: info.kthread, Task: s})
	}
	return list
}

// forgetDead makes room when the table of processes is filling: those that
// ended have been read for the last time. It returns them.
func (p *Probe) forgetDead(s *bpf.Snapshot) map[bpf.ProcKey]bool {
	if len(s.Procs) < p.forgetAt {
		return nil
	}
	gone := map[bpf.ProcKey]bool{}
	var keys []bpf.ProcKey
	for k := range s.Procs {
		_, err := os.Lstat(filepath.Join(p.opt.Proc, strconv.Itoa(k.TGID)))
		if errors.Is(err, fs.ErrNotExist) {
			gone[k] = true
			keys = append(keys, k)
		}
	}
	p.tracer.Forget(keys)
	return gone
}

// nameRunning asks /proc for the names of processes that have not been switched
// out since the programs were loaded.
func (p *Probe) nameRunning(s *bpf.Snapshot) {
	for k, proc := range s.Procs {
		if proc.Comm != "" {
			continue
		}
		if info, err := readProcInfo(p.opt.Proc, k.TGID); err == nil {
			proc.Comm, proc.Kthread = info.comm, info.kthread
			s.Procs[k] = proc
		}
	}
}
