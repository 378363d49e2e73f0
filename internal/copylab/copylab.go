// Package copylab measures how fast this machine copies and checksums memory: the
// laboratory behind Tables 5 and 6 and Figure 4 of Anand & Hartner (2002).
//
// Every figure is a time per call in core cycles: ticks of the time stamp counter
// times the core's clock as sampled in the same round. Methods are interleaved, batch
// by batch, so that a change of the machine meets all of them; figures are medians
// with the 10th and 90th percentile. The call through a function value is part of
// every figure (its cost is in [Report.Costs]); Go's copy and the package's best are
// called directly, as a program would.
//
// What it cannot see: another hardware thread of the same core, or a neighbour in a
// shared cache. They show as spread. Compare methods within one report, not across.
package copylab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Config says what to measure. The zero value measures everything in some 15
// seconds.
type Config struct {
	CPU  int  // the CPU that copies; with AutoCPU false, 0 is CPU 0
	Peer int  // the other CPU, which writes or checksums; equal to CPU: none
	Auto bool // choose CPU and Peer: of those that the process may use the quietest, and another

	Quick     bool // a third of the rounds, no copies above 1 MiB
	WhereOnly bool // only section 2.3: where to checksum
	Force     bool // report even if the machine was too busy
	Seed      uint64
}

// Progress is told what is being measured; done of total are parts of equal time,
// roughly.
type Progress func(done, total int, what string)

// ErrContended is returned, wrapped, when other work had the CPU so often that the
// figures say nothing about the copies.
var ErrContended = errors.New("the machine is too busy to measure copies")

// The shares of the CPU below which a run is refused, or flagged.
const (
	refuseShare = 0.50
	flagShare   = 0.97
)

// lab is the state of a run.
type lab struct {
	cfg      Config
	ctx      context.Context
	clock    cycles.Clock
	mem      *memory
	rng      *rand.Rand
	methods  []method
	peer     *peer // nil: no second CPU
	report   *Report
	ratios   []float64 // core cycles a tick, every sample
	singles  bool      // batches are single calls: readings no finer than the counter's step
	cpuTime  time.Duration
	wallTime time.Duration
}

// Run measures. It confines the calling goroutine to one CPU meanwhile. It returns
// [ErrContended], wrapped, unless cfg.Force.
func Run(ctx context.Context, cfg Config, progress Progress) (Report, error) {
	if progress == nil {
		progress = func(int, int, string) {}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := sysx.Affinity(0)
	if err != nil {
		return Report{}, err
	}
	if cfg.Auto {
		if cfg.CPU, cfg.Peer, err = quietest(before); err != nil {
			return Report{}, err
		}
	}
	if err := sysx.SetAffinity(0, []int{cfg.CPU}); err != nil {
		return Report{}, fmt.Errorf("copylab: cannot run on CPU %d: %w", cfg.CPU, err)
	}
	defer func() { _ = sysx.SetAffinity(0, before) }()

	progress(0, 1, "calibrating the clock")
	clock, err := cycles.Calibrate(50 * time.Millisecond)
	if err != nil && !cfg.Force {
		return Report{}, err
	}
	l := &lab{
		cfg: cfg, ctx: ctx, clock: clock, rng: rand.New(rand.NewPCG(cfg.Seed, 20020626)),
		methods: methods(), report: &Report{Schema: SchemaVersion, Started: time.Now(), CPU: cfg.CPU, Peer: -1, Clock: clock},
	}
	l.describe()
	if l.mem, err = newMemory(l.report.Machine.Caches, cfg.Quick); err != nil {
		return Report{}, err
	}
	defer l.mem.close()
	if cfg.Peer != cfg.CPU {
		if l.peer, err = newPeer(cfg.Peer); err != nil {
			return Report{}, err
		}
		defer l.peer.close()
		l.report.Peer = cfg.Peer
	}
	parts := []struct {
		what string
		run  func() error
	}{
		{"cost of the timer and of a call", l.costs},
		{"roofline", l.roofline},
		{"Table 5: copies by alignment", l.table5},
		{"Table 6: cycles of one copy", l.table6},
		{"sizes and offsets", l.sweepOffsets},
		{"cache levels", l.sweepStates},
		{"long copies", l.sweepLong},
		{"where to checksum", l.where},
	}
	if cfg.WhereOnly {
		parts = append(parts[:2:2], parts[len(parts)-1])
	}
	stolen, begun := stealSeconds(cfg.CPU), time.Now()
	for i, p := range parts {
		progress(i, len(parts), p.what)
		if err := p.run(); err != nil {
			return *l.report, err
		}
	}
	progress(len(parts), len(parts), "done")
	l.report.Contention.StealSeconds = stealSeconds(cfg.CPU) - stolen
	if s := l.report.Contention.StealSeconds; s > (1-flagShare)*time.Since(begun).Seconds() {
		l.warn("steal", "the hypervisor kept CPU %d from this machine for %.2f s while it was measured", cfg.CPU, s)
	}
	l.finish()
	share := l.report.Contention.CPUShare
	if share < refuseShare && !cfg.Force {
		return *l.report, fmt.Errorf("%w: the measuring thread got %.0f %% of CPU %d; stop other work, choose another CPU, or force it", ErrContended, 100*share, cfg.CPU)
	}
	return *l.report, nil
}

// quietest tries the CPUs, each for a few milliseconds, and returns the one that
// gave the calling thread most of its time, later ones first, and another as peer.
func quietest(cpus []int) (cpu, peer int, err error) {
	best := -1.0
	for i := len(cpus) - 1; i >= max(0, len(cpus)-16); i-- {
		if err := sysx.SetAffinity(0, []int{cpus[i]}); err != nil {
			return 0, 0, err
		}
		wall, used := time.Now(), threadTime()
		for time.Since(wall) < 5*time.Millisecond {
		}
		share := (threadTime() - used).Seconds() / time.Since(wall).Seconds()
		if share > best+0.02 {
			best, cpu = share, cpus[i]
		}
	}
	peer = cpus[0]
	if peer == cpu {
		peer = cpus[len(cpus)-1]
	}
	return cpu, peer, nil
}

// warn adds a warning to the report.
func (l *lab) warn(code, format string, args ...any) {
	l.report.Warnings = append(l.report.Warnings, trial.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}
