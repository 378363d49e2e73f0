// Package cpucheck tells how far each source of CPU time can be trusted on this
// machine: it burns a known share of one CPU and compares what the sources say.
//
// Two kinds of load are used. One is in step with the timer tick, each burst
// beginning at the same phase of it: accounting by tick then sees all or nothing,
// by where the tick falls. The other has a period that is no multiple of the
// tick, as if the load were independent of it.
//
// The truth is known to an interval. Its low end is the loop's own account of the
// time in which it ran. The system call with which it sleeps comes on top, and its
// high end, the thread's CPU clock, has that in it; but the scheduler charges a task
// from its wake-up on, so that the way out of idle is in it as well. A source's error
// is its distance from the interval: what is certainly wrong. A clock below the
// loop's account tells that the loop was preempted; then it is the low end.
package cpucheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"golang.org/x/sys/unix"
)

// Config of Run. The zero value is the default check, of 15 cases in about 17 s.
type Config struct {
	CPU    *int          // the CPU to burn; nil is the last one this process may use
	Window time.Duration // per case; 0 is one second
	Loads  []float64     // shares of the CPU (0..1); nil is 0.1, 0.5, 0.9
	Phases int           // of the load in step with the tick; 0 is 4
	Proc   string        // root of procfs; "" is /proc
	Sys    string        // root of sysfs; "" is /sys
}

// Above these, in points of the CPU, a case cannot be judged.
const (
	othersLimit  = 3
	preemptLimit = 1
	stealLimit   = 1
)

// Run makes the check. progress, if not nil, is called before every case. It ends
// early with the error of ctx.
func Run(ctx context.Context, c Config, progress func(done, total int, what string)) (Report, error) {
	if err := c.complete(); err != nil {
		return Report{}, err
	}
	t, err := tick()
	if err != nil {
		return Report{}, err
	}
	k := checker{config: c, tick: t, report: Report{
		CPU: *c.CPU, TickSeconds: float64(t) / 1e9, WindowSeconds: c.Window.Seconds(),
	}}
	defer k.close()
	if err := k.openSources(ctx); err != nil {
		return Report{}, err
	}
	cases := k.cases()
	for i := range cases {
		if progress != nil {
			progress(i, len(cases), cases[i].String())
		}
		if err := k.measure(ctx, &cases[i]); err != nil {
			return Report{}, err
		}
	}
	k.report.Cases = cases
	k.report.summarise()
	return k.report, nil
}

func (c *Config) complete() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("CPUs allowed to this process: %w", err)
	}
	if c.CPU == nil {
		last := -1
		for n := range len(allowed) * 64 {
			if allowed.IsSet(n) {
				last = n
			}
		}
		c.CPU = &last
	}
	if !allowed.IsSet(*c.CPU) {
		return fmt.Errorf("CPU %d is offline or not allowed to this process: choose another", *c.CPU)
	}
	if c.Window == 0 {
		c.Window = time.Second
	}
	if c.Window < 100*time.Millisecond {
		return fmt.Errorf("a window of %v is too short: at least 100ms", c.Window)
	}
	if c.Loads == nil {
		c.Loads = []float64{0.1, 0.5, 0.9}
	}
	for _, l := range c.Loads {
		if l <= 0 || l >= 1 {
			return fmt.Errorf("a load of %g: want a share between 0 and 1", l)
		}
	}
	if c.Phases == 0 {
		c.Phases = 4
	}
	if c.Phases < 0 {
		return fmt.Errorf("%d phases: want at least 1", c.Phases)
	}
	return nil
}

// checker is a Run in progress.
type checker struct {
	config  Config
	tick    int64
	probes  []*cpu.Probe
	cpuacct string // path; "" when there is none
	report  Report
}

func (k *checker) openSources(ctx context.Context) error {
	for _, name := range []string{cpu.SourceBPF, cpu.SourceProcStatIdle, cpu.SourceProcStat} {
		p, _, err := cpu.Open(ctx, cpu.Options{Want: name, Proc: k.config.Proc, Sys: k.config.Sys, NoProcesses: true})
		var u cpu.Unavailable
		switch {
		case errors.As(err, &u):
			k.report.Unavailable = append(k.report.Unavailable, u.Error())
		case err != nil:
			return err
		default:
			k.probes = append(k.probes, p)
		}
	}
	if len(k.probes) == 0 {
		return errors.New("no source of CPU time: mount procfs")
	}
	k.cpuacct = findCPUAcct(k.config.Sys)
	return nil
}

func (k *checker) close() {
	for _, p := range k.probes {
		p.Close()
	}
}

// freePeriod is the period of the free-running load in ticks.
const freePeriod = 0.927

func (k *checker) cases() []Case {
	var cases []Case
	for _, load := range k.config.Loads {
		for i := range k.config.Phases {
			phase := float64(i) / float64(k.config.Phases) * k.report.TickSeconds
			cases = append(cases, Case{Kind: Tick, Load: load, PhaseSeconds: phase})
		}
		cases = append(cases, Case{Kind: Free, Load: load})
	}
	return cases
}

// measure runs one case on a thread that stays off the burnt CPU, where there is
// another one.
func (k *checker) measure(ctx context.Context, c *Case) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		avoid(*k.config.CPU)
		done <- k.measureHere(ctx, c)
	}()
	return <-done
}

func (k *checker) measureHere(ctx context.Context, c *Case) error {
	const settle = int64(50 * time.Millisecond)
	p := pattern{period: k.tick}
	if c.Kind == Free {
		p.period = int64(freePeriod * float64(k.tick))
	}
	p.busy = int64(c.Load * float64(p.period))
	// The tick comes at multiples of its length on CLOCK_MONOTONIC
	// (kernel/time/tick-sched.c, unless the kernel runs with skew_tick=1).
	p.start = (clock.Now()/k.tick+2)*k.tick + int64(c.PhaseSeconds*1e9)
	b, err := startBurner(*k.config.CPU, p)
	if err != nil {
		return err
	}
	finished := false
	defer func() {
		if !finished {
			b.finish()
		}
	}()
	clock.SleepUntil(p.start + settle)

	first, err := k.marks(b)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(k.config.Window):
	}
	last, err := k.marks(b)
	if err != nil {
		return err
	}
	b.finish()
	finished = true
	return k.evaluate(c, b, first, last)
}

// edges are the readings of all sources at one edge, in the order of the probes.
type edges struct {
	marks         []cpu.Mark
	thread        int64 // CPU time of the burner's thread
	threadTime    int64 // when it was read
	cpuacct       int64
	cpuacctTime   int64
	cpuacctMissed error
}

func (k *checker) marks(b *burner) (e edges, err error) {
	for _, p := range k.probes {
		m, err := p.Mark()
		if err != nil {
			return e, err
		}
		e.marks = append(e.marks, m)
	}
	e.threadTime = clock.Now()
	if e.thread, err = threadTime(b.thread); err != nil {
		return e, err
	}
	if k.cpuacct != "" {
		e.cpuacctTime = clock.Now()
		e.cpuacct, e.cpuacctMissed = readCPUAcct(k.cpuacct, *k.config.CPU)
	}
	return e, nil
}

func (k *checker) evaluate(c *Case, b *burner, first, last edges) error {
	n := *k.config.CPU
	own := b.share(first.threadTime, last.threadTime)
	beyond := float64(last.thread-first.thread)/float64(last.threadTime-first.threadTime) - own
	c.TruthLow, c.TruthHigh = own+min(0, beyond), own+max(0, beyond)
	c.Preempted = max(0, -beyond)
	var others float64
	for i, p := range k.probes {
		a, z := first.marks[i], last.marks[i]
		u, _, err := cpu.Usage(a, z, nil)
		if err != nil {
			return err
		}
		row := slices.IndexFunc(u.PerCPU, func(t trialCPU) bool { return t.CPU == n })
		if row < 0 {
			return fmt.Errorf("CPU %d went offline during the check", n)
		}
		t := u.PerCPU[row]
		f := Figure{Source: p.Source(), Utilization: (t.User + t.System + t.SoftIRQ + t.IRQ) / u.WindowSeconds}
		own := b.share(a.Time, z.Time)
		if p.Source() == cpu.SourceBPF {
			others = f.Utilization
			for _, proc := range cpu.Processes(a, z) {
				if s, ok := proc.On(n); ok && proc.PID == os.Getpid() {
					others -= s / u.WindowSeconds
				}
			}
			c.Others = &others
			c.ClosureError = &u.ClosureError
		}
		c.Steal = max(c.Steal, t.Steal/u.WindowSeconds)
		f.ErrorPoints = 100 * distance(f.Utilization-others, own, beyond)
		c.Figures = append(c.Figures, f)
	}
	if k.cpuacct != "" && first.cpuacctMissed == nil && last.cpuacctMissed == nil {
		f := Figure{Source: "cpuacct", Utilization: float64(last.cpuacct-first.cpuacct) / float64(last.cpuacctTime-first.cpuacctTime)}
		own := b.share(first.cpuacctTime, last.cpuacctTime)
		f.ErrorPoints = 100 * distance(f.Utilization-others, own, beyond)
		c.Figures = append(c.Figures, f)
	}
	c.judge()
	return nil
}

// distance of x from the interval between own and own+beyond, with its sign.
func distance(x, own, beyond float64) float64 {
	low, high := own+min(0, beyond), own+max(0, beyond)
	switch {
	case x < low:
		return x - low
	case x > high:
		return x - high
	}
	return 0
}
