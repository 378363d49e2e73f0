package cpu

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Groups says to which group of trial.CPU.Groups a process belongs. "" and a nil
// function mean "kernel" for kernel threads and "stranger" for others.
type Groups func(pid int, comm string, kthread bool) string

const (
	groupKernel      = "kernel"
	groupStranger    = "stranger"
	groupServer      = "server"
	groupIdleSoftIRQ = "idle-softirq"
	groupIdleBusy    = "idle-busy"
)

// Above these shares of the window a warning is given.
const (
	stealLimit   = 0.01
	closureLimit = 0.005
	tickLimit    = 0.05 // closure of sources that count ticks
	costLimit    = 0.02
	missedLimit  = 0.01
)

// maxStrangers is how many strangers a record names.
const maxStrangers = 5

// Usage is the CPU time between two marks of one probe, a before b.
func Usage(a, b Mark, groups Groups) (trial.CPU, []trial.Warning, error) {
	switch {
	case a.source == "" || b.source == "" || a.source != b.source:
		return trial.CPU{}, nil, fmt.Errorf("CPU time: marks of the sources %q and %q cannot be compared", a.source, b.source)
	case b.Time <= a.Time:
		return trial.CPU{}, nil, errors.New("CPU time: the window's end is not after its start")
	}
	w := window{a: a, b: b, seconds: float64(b.Time-a.Time) / 1e9, processes: Processes(a, b)}
	w.cpu = trial.CPU{Source: b.source, WindowSeconds: w.seconds, UserSystemSplit: "tick", Groups: map[string]float64{}}
	if b.source == SourceBPF {
		w.fromBPF()
	} else {
		w.fromStat(b.source == SourceProcStatIdle)
	}
	w.shares()
	w.group(groups)
	w.check()
	return w.cpu, w.warnings, nil
}

// window is a Usage in the making.
type window struct {
	a, b      Mark
	seconds   float64
	processes []Process

	cpu      trial.CPU
	online   float64         // seconds of CPUs that were online
	scale    map[int]float64 // by CPU: busy time less steal, by busy time
	closure  float64         // accounted less online seconds, before steal was moved
	warnings []trial.Warning
}

func (w *window) warn(code, format string, args ...any) {
	w.warnings = append(w.warnings, trial.Warning{Code: code, Text: "CPU time: " + fmt.Sprintf(format, args...)})
}

// shares works out the utilisations from PerCPU.
func (w *window) shares() {
	var halted, idleBusy, steal float64
	for _, c := range w.cpu.PerCPU {
		halted += c.Idle + c.IOWait
		idleBusy += c.IdleBusy
		steal += c.Steal
	}
	w.cpu.Online = len(w.cpu.PerCPU)
	if w.online <= 0 {
		return
	}
	w.cpu.Utilization = max(0, 1-(halted+steal)/w.online)
	w.cpu.TaskUtilization = max(0, 1-(halted+steal+idleBusy)/w.online)
	if steal > stealLimit*w.online {
		w.warn("steal", "the hypervisor took %.1f %% of the CPUs' time for others", 100*steal/w.online)
	}
}

// group attributes the time of processes.
func (w *window) group(groups Groups) {
	for _, p := range w.processes {
		var name string
		if groups != nil {
			name = groups(p.PID, p.Comm, p.Kthread)
		}
		if name == "" {
			name = groupStranger
			if p.Kthread {
				name = groupKernel
			}
		}
		s := w.withoutSteal(&p)
		w.cpu.Groups[name] += s
		if name == groupStranger {
			w.cpu.Strangers = append(w.cpu.Strangers, trial.Stranger{PID: p.PID, Comm: p.Comm, Seconds: s})
		}
	}
	slices.SortStableFunc(w.cpu.Strangers, func(x, y trial.Stranger) int {
		if x.Seconds > y.Seconds {
			return -1
		}
		return 1
	})
	w.cpu.Strangers = w.cpu.Strangers[:min(len(w.cpu.Strangers), maxStrangers)]
	if w.online > 0 {
		w.cpu.ServerUtilization = w.cpu.Groups[groupServer] / w.online
	}
}

func (w *window) withoutSteal(p *Process) float64 {
	if p.perCPU == nil {
		return p.Seconds()
	}
	var s float64
	for n, d := range p.perCPU {
		f, ok := w.scale[n]
		if !ok {
			f = 1
		}
		s += d * f
	}
	return s
}

// check looks at what may spoil the figures.
func (w *window) check() {
	w.cpu.ClosureError = max(w.closure, -w.closure) / max(w.online, 1e-9)
	limit := closureLimit
	if w.cpu.Source != SourceBPF {
		limit = tickLimit
	}
	if w.cpu.ClosureError > limit {
		w.warn("closure", "the classes sum to %+.1f %% of the window beside it (source %s)", 100*w.closure/w.online, w.cpu.Source)
	}
	if x, y := w.a.stat.Online(), w.b.stat.Online(); !slices.Equal(x, y) {
		w.warn("cpus-changed", "the CPUs online changed in the window from %v to %v", x, y)
	}
}

// splitTask divides a CPU's task time into user and system by tick. Kernel threads
// are system time whatever the ticks say; all is the machine's ticks, for a CPU that
// got none.
func splitTask(task, kthread float64, own, all Ticks) (user, system float64) {
	kthread = min(kthread, task)
	rest := task - kthread
	u, s := own.User+own.Nice, max(0, own.System-kthread)
	if u+s == 0 {
		u, s = all.User+all.Nice, all.System
	}
	if u+s == 0 {
		return 0, task
	}
	user = rest * u / (u + s)
	return user, task - user
}

// ticks are the columns of /proc/stat between the marks, by CPU and summed.
func (w *window) ticks() (map[int]Ticks, Ticks) {
	each, all := map[int]Ticks{}, Ticks{}
	for n, end := range w.b.stat.CPUs {
		start, ok := w.a.stat.CPUs[n]
		if !ok {
			continue
		}
		each[n] = end.sub(start)
		all = all.plus(each[n])
	}
	return each, all
}
