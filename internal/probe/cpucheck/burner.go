package cpucheck

import (
	"fmt"
	"runtime"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"golang.org/x/sys/unix"
)

// pattern is what a burner does: from start on, every period, it burns for busy.
// All are nanoseconds; start is a time of CLOCK_MONOTONIC.
type pattern struct {
	start, period, busy int64
}

// burst is the time in which the loop ran, of CLOCK_MONOTONIC.
type burst struct{ from, to int64 }

// burner is a thread pinned to a CPU that keeps account of its own busy time.
type burner struct {
	stop   chan struct{}
	done   chan struct{}
	thread int // set before startBurner returns
	bursts []burst
	err    error
}

func startBurner(cpu int, p pattern) (*burner, error) {
	b := &burner{stop: make(chan struct{}), done: make(chan struct{})}
	started := make(chan struct{})
	go func() {
		defer close(b.done)
		// Not unlocked: the thread ends with the goroutine, and its pinning with it.
		runtime.LockOSThread()
		b.thread = unix.Gettid()
		b.err = pin(cpu)
		close(started)
		if b.err == nil {
			b.run(p)
		}
	}()
	<-started
	if b.err != nil {
		<-b.done
		return nil, b.err
	}
	return b, nil
}

func (b *burner) run(p pattern) {
	base, at := time.Now(), clock.Now()
	now := func() int64 { return at + int64(time.Since(base)) } // without a system call
	for next := p.start; ; next += p.period {
		clock.SleepUntil(next)
		select {
		case <-b.stop:
			return
		default:
		}
		from := now()
		to := from
		for end := next + p.busy; to < end; {
			to = now()
		}
		b.bursts = append(b.bursts, burst{from, to})
	}
}

// finish ends the burner; after it the account may be read.
func (b *burner) finish() {
	close(b.stop)
	<-b.done
}

// share is the part of a window in which the loop ran.
func (b *burner) share(from, to int64) float64 {
	var sum int64
	for _, x := range b.bursts {
		sum += max(0, min(x.to, to)-max(x.from, from))
	}
	return float64(sum) / float64(to-from)
}

// threadTime is a thread's CPU time by the scheduler's account in nanoseconds. The
// thread must belong to this process.
func threadTime(tid int) (int64, error) {
	var ts unix.Timespec
	// MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED), include/linux/posix-timers_types.h
	if err := unix.ClockGettime(int32(^tid<<3|2|4), &ts); err != nil {
		return 0, fmt.Errorf("CPU clock of thread %d: %w", tid, err)
	}
	return ts.Nano(), nil
}

func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w; choose a CPU that is online and allowed (taskset -p $$)", cpu, err)
	}
	return nil
}

// tick is the length of the timer tick in nanoseconds.
func tick() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("length of the timer tick: %w", err)
	}
	return ts.Nano(), nil
}
