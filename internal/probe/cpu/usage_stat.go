package cpu

import "github.com/stackmeter/stackmeter/internal/trial"

// fromStat fills the classes from /proc/stat. With byIdle the busy time is what
// idle leaves of the window, and ticks only share it out; without, the ticks are
// the figures.
func (w *window) fromStat(byIdle bool) {
	w.cpu.Exact = byIdle
	ticks, all := w.ticks()
	var attributed, busySum float64
	for _, n := range w.b.stat.Online() {
		t, ok := ticks[n]
		if !ok {
			continue
		}
		w.online += w.seconds
		w.closure += t.sum() - w.seconds
		c := trial.CPUTime{
			CPU: n, User: t.User + t.Nice, System: t.System, SoftIRQ: t.SoftIRQ, IRQ: t.IRQ,
			Idle: t.Idle, IOWait: t.IOWait, Steal: t.Steal,
		}
		if byIdle {
			c = w.byIdle(c, t, all)
		} else {
			// A record's classes are shares of the window: what the ticks say of the rest.
			c.Idle = max(0, w.seconds-t.busy()-t.Steal-t.IOWait)
		}
		busySum += c.User + c.System + c.SoftIRQ + c.IRQ
		w.cpu.PerCPU = append(w.cpu.PerCPU, c)
	}
	for i := range w.processes {
		attributed += w.processes[i].Seconds()
	}
	// What no task ran is softirq and interrupts over idle, to the 10 ms of the file.
	if rest := busySum - attributed; byIdle && rest > 0 {
		w.cpu.Groups[groupIdleSoftIRQ] = rest
	}
	w.warnStat(byIdle)
}

// byIdle replaces the busy columns by what idle leaves, in proportion.
func (w *window) byIdle(c trial.CPUTime, own, all Ticks) trial.CPUTime {
	c.Steal = min(own.Steal, w.seconds)
	idle := min(own.Idle+own.IOWait, w.seconds-c.Steal)
	c.IOWait = min(own.IOWait, idle)
	c.Idle = idle - c.IOWait
	busy := w.seconds - idle - c.Steal
	by := own
	if by.busy() == 0 {
		by = all
	}
	if by.busy() == 0 {
		c.User, c.System, c.SoftIRQ, c.IRQ = 0, busy, 0, 0
		return c
	}
	f := busy / by.busy()
	c.User, c.System, c.SoftIRQ, c.IRQ = (by.User+by.Nice)*f, by.System*f, by.SoftIRQ*f, by.IRQ*f
	return c
}

func (w *window) warnStat(byIdle bool) {
	if !byIdle {
		w.warn("ticks", "sampled by the timer tick: a load in step with the timer is misjudged; see cpucheck")
		return
	}
	w.warn("classes-by-tick", "only the utilisation is exact (the idle task's own work counts as idle); user, system, softirq and irq are shared out by tick")
	if resolution := 1.0 / userHZ; resolution > 0.01*w.seconds {
		w.warn("coarse", "/proc/stat counts in steps of 10 ms: +-%.1f points of utilisation in a window of %.2f s", 100*resolution/w.seconds, w.seconds)
	}
}
