package cpu

import (
	"github.com/stackmeter/stackmeter/internal/probe/cpu/bpf"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// eventCost is the CPU time of one event of the BPF programs in nanoseconds, taken
// for the warning about the probe's own cost. See TestCostPerEvent.
const eventCost = 100

// fromBPF fills the classes from the exact sums.
func (w *window) fromBPF() {
	w.cpu.Exact = true
	ticks, all := w.ticks()
	kthread := map[int]float64{}
	attributed := map[int]float64{} // by CPU, to processes
	for _, p := range w.processes {
		for n, s := range p.perCPU {
			attributed[n] += s
			if p.Kthread {
				kthread[n] += p.task[n]
			}
		}
	}
	w.scale = map[int]float64{}
	var sum bpf.CPU
	for n, end := range w.b.snapshot.CPUs {
		var start bpf.CPU
		if n < len(w.a.snapshot.CPUs) {
			start = w.a.snapshot.CPUs[n]
		}
		if !end.Seen || offline(w.a, w.b, n) {
			continue
		}
		d, over := diff(end.NS, start.NS), diff(end.OverIdle, start.OverIdle)
		wall := float64(w.b.Time-max(w.a.Time, end.Start)) / 1e9
		online := wall - d[bpf.Offline]
		w.online += online
		if d[bpf.Offline] > 0 {
			w.warn("cpus-changed", "CPU %d was offline for %.3f s of the window", n, d[bpf.Offline])
		}
		sum.Events += end.Events - start.Events
		sum.Dropped += end.Dropped - start.Dropped
		sum.DroppedNS += end.DroppedNS - start.DroppedNS
		sum.Anomalies += end.Anomalies - start.Anomalies
		sum.Missed += end.Missed - start.Missed
		sum.MissedNS += end.MissedNS - start.MissedNS

		// The sum by process and the sum by class come by different ways.
		idle := over[bpf.SoftIRQ] + over[bpf.IRQ]
		w.closure += attributed[n] + idle + d[bpf.IdleBusy] + d[bpf.Halted] - online

		c, f := classes(n, d, kthread[n], ticks[n], all)
		w.scale[n] = f
		w.cpu.PerCPU = append(w.cpu.PerCPU, c)
		w.cpu.Groups[groupIdleSoftIRQ] += idle * f
		w.cpu.Groups[groupIdleBusy] += c.IdleBusy
	}
	w.warnBPF(&sum)
}

// classes makes one CPU's record, less steal; f is what is left of busy time.
func classes(n int, d [bpf.Classes]float64, kthread float64, own, all Ticks) (c trial.CPUTime, f float64) {
	busy := d[bpf.Task] + d[bpf.SoftIRQ] + d[bpf.IRQ] + d[bpf.IdleBusy]
	f = 1
	var stolenBusy, stolenHalted float64
	if total := busy + d[bpf.Halted]; total > 0 && busy > 0 {
		steal := min(own.Steal, total)
		stolenBusy = steal * busy / total
		stolenHalted = steal - stolenBusy
		f = 1 - stolenBusy/busy
	}
	user, system := splitTask(d[bpf.Task]*f, kthread*f, own, all)
	halted := d[bpf.Halted] - stolenHalted
	iowait := min(own.IOWait, halted)
	return trial.CPUTime{
		CPU: n, User: user, System: system, SoftIRQ: d[bpf.SoftIRQ] * f, IRQ: d[bpf.IRQ] * f,
		Idle: halted - iowait, IOWait: iowait, IdleBusy: d[bpf.IdleBusy] * f, Steal: stolenBusy + stolenHalted,
	}, f
}

func (w *window) warnBPF(s *bpf.CPU) {
	if !w.b.idleTraced {
		w.warn("idle-as-halted", "this kernel's idle loop has no cpu_idle tracepoint: all of the idle task's time counts as halted")
	}
	if s.Dropped > 0 {
		w.warn("processes-dropped", "the table of processes was full: %d switches with %.3f s belong to no process", s.Dropped, float64(s.DroppedNS)/1e9)
	}
	if s.Anomalies > s.Events/1000 {
		w.warn("anomalies", "%d of %d events did not fit the state of their CPU (a PREEMPT_RT kernel?)", s.Anomalies, s.Events)
	}
	if share := float64(s.MissedNS) / 1e9 / w.online; share > missedLimit {
		w.warn("switches-missed", "the kernel did not report %d switches; how %.1f %% of the CPUs' time divides around them is a guess", s.Missed, 100*share)
	}
	if cost := float64(s.Events) * eventCost / 1e9; cost > costLimit*w.online {
		w.warn("probe-cost", "following %d events took about %.1f %% of the CPUs' time", s.Events, 100*cost/w.online)
	}
}

// offline reports whether a CPU was offline at both edges. A dying CPU's last
// switches go unreported, so what the programs have for it since then is the thread
// that took it down, and means nothing.
func offline(a, b Mark, n int) bool {
	_, before := a.stat.CPUs[n]
	_, after := b.stat.CPUs[n]
	return !before && !after
}

func diff(end, start [bpf.Classes]int64) (d [bpf.Classes]float64) {
	for i := range d {
		d[i] = float64(end[i]-start[i]) / 1e9
	}
	return d
}
