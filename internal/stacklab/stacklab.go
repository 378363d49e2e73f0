// Package stacklab looks into a running stack, package ustack's, while the kernel sends it
// a stream over a pair of veth NICs: how many cycles the copy of one segment to the reader
// takes (the counterpart of Table 6 of Anand & Hartner, 2002), and what passes from layer
// to layer, and is allocated, for each frame (Tables 7 to 10).
//
// Copies are timed where they happen, in the reader's call, one in a few; what the timer
// itself takes is subtracted. They include misses of the caches and whatever else the
// place brings, and so are not the figures of package copylab, which are of a loop. The
// calls and allocations are counts of the stack itself, exact; how many frames come in a
// bunch depends on how fast this machine's sender and receiver are to each other.
//
// It needs CAP_NET_ADMIN and CAP_NET_RAW, and makes a network namespace of its own.
package stacklab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// SchemaVersion is that of [Report].
const SchemaVersion = 1

// Report is what was seen.
type Report struct {
	Schema  int          `json:"schema"`
	Started time.Time    `json:"started"`
	CPU     int          `json:"cpu"`    // on which the stack and its reader ran
	Sender  int          `json:"sender"` // CPU of the kernel's sender; the same where there is one
	Device  string       `json:"device"` // of the stack
	Kernel  string       `json:"kernel"` // release
	Clock   cycles.Clock `json:"clock"`
	// CoreCyclesPerTick is the median of the samples taken between the copies; 0: not known,
	// and all cycles are ticks.
	CoreCyclesPerTick float64 `json:"core_cycles_per_tick"`
	TimerTicks        float64 `json:"timer_ticks"` // what was taken off each reading

	Copies   []CopyCost      `json:"copies"`
	Layers   []Passage       `json:"layers"`
	Warnings []trial.Warning `json:"warnings,omitempty"`
}

// Config says how thoroughly to look. The zero value takes about ten seconds.
type Config struct {
	Quick bool // a single round of shorter runs
}

// Progress is told what comes next; done of total are parts of equal time.
type Progress func(done, total int, what string)

// lab is the state of a run.
type lab struct {
	cfg    Config
	space  *space
	report *Report
	ratios []float64
}

// length of a run before it is measured, and of the measurement.
func (l *lab) spans() (warm, window time.Duration) {
	if l.cfg.Quick {
		return 20 * time.Millisecond, 40 * time.Millisecond
	}
	return 50 * time.Millisecond, 150 * time.Millisecond
}

// Run looks. Meanwhile it confines this process to one CPU and its sender to another.
func Run(ctx context.Context, cfg Config, progress Progress) (r Report, err error) {
	if progress == nil {
		progress = func(int, int, string) {}
	}
	r = Report{Schema: SchemaVersion, Started: time.Now(), Device: "packet"}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		r.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	if r.Clock, err = cycles.Calibrate(50 * time.Millisecond); err != nil {
		return r, err
	}
	r.TimerTicks = timerCost()
	before, err := sysx.Affinity(0)
	if err != nil {
		return r, err
	}
	r.CPU, r.Sender = before[0], before[len(before)-1]
	if err := confine([]int{r.CPU}); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, confine(before)) }()
	l := &lab{cfg: cfg, report: &r}
	if l.space, err = newSpace(); err != nil {
		return r, err
	}
	defer l.space.close()
	cases := append(l.copyCases(), l.layerCases()...)
	for i, c := range cases {
		if err := ctx.Err(); err != nil {
			return r, context.Cause(ctx)
		}
		progress(i, len(cases), c.what)
		if err := c.run(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", c.what, err)
		}
	}
	progress(len(cases), len(cases), "done")
	l.finishCopies()
	return r, nil
}

// oneCase is one run of a stream.
type oneCase struct {
	what string
	run  func(context.Context) error
}

func (l *lab) warn(code, format string, args ...any) {
	l.report.Warnings = append(l.report.Warnings, trial.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

// confine lets all threads of this process run on these CPUs alone; those that come
// later inherit it.
func confine(cpus []int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list own threads: %w", err)
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := sysx.SetAffinity(tid, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
