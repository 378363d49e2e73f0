package sample

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

func cpus(t *testing.T) []int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	var out []int
	for i := range 1024 {
		if set.IsSet(i) {
			out = append(out, i)
		}
	}
	return out
}

func open(t *testing.T, frequency int) *Sampler {
	t.Helper()
	s, err := Open(cpus(t), Clock(frequency))
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// burn reads zeroes in one thread, all of it in the kernel, and says which thread and
// how much CPU time it used.
func burn(ctx context.Context) (tid int, used time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := os.Open("/dev/zero")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	now := func() time.Duration {
		var ts unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
		return time.Duration(ts.Nano())
	}
	buf := make([]byte, 1<<20)
	for began := now(); ; {
		if ctx.Err() != nil {
			return unix.Gettid(), now() - began
		}
		// unix.Read would have the race detector look at every byte.
		_, _, _ = unix.RawSyscall(unix.SYS_READ, f.Fd(), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	}
}

// TestBusySystemCall holds the samples of a thread that does nothing but one system
// call against its CPU time.
func TestBusySystemCall(t *testing.T) {
	const hz = 499
	s := open(t, hz)
	names, err := symbol.ReadKernel()
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	tid, used := burn(ctx)
	r, err := s.Stop()
	if err != nil {
		t.Fatal(err)
	}
	own, inRead := 0, 0
	for _, x := range r.Samples {
		if x.PID != os.Getpid() || x.TID != tid {
			continue
		}
		own++
		for _, a := range x.Kernel {
			if n, _ := names.Find(a); strings.HasPrefix(n, "ksys_read") || strings.HasPrefix(n, "vfs_read") {
				inRead++
				break
			}
		}
	}
	want := used.Seconds() * hz
	t.Logf("%d samples in %v of CPU time (%.0f expected), %d in the call; lost %d, throttled %d", own, used, want, inRead, r.Lost, r.Throttled)
	if f := float64(own); f < 0.8*want || f > 1.2*want {
		t.Errorf("%d samples, want %.0f within 20 %%", own, want)
	}
	if inRead*10 < own*9 {
		t.Errorf("%d of %d samples in the system call, want nine in ten", inRead, own)
	}
	if r.Lost > 0 {
		t.Errorf("%d samples lost", r.Lost)
	}
}

// TestNothingBetweenStops checks that a stopped sampler takes nothing, and that it can
// be started again.
func TestNothingBetweenStops(t *testing.T) {
	s := open(t, DefaultFrequency)
	for range 2 {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		burnFor(t, 150*time.Millisecond)
		r, err := s.Stop()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Samples) == 0 {
			t.Fatal("no sample while running")
		}
		end := r.Samples[0].Time
		for _, x := range r.Samples {
			end = max(end, x.Time)
		}
		burnFor(t, 100*time.Millisecond)
		s.read()
		for _, x := range s.records.Samples {
			if x.Time > end+uint64(50*time.Millisecond) {
				t.Errorf("a sample %v after the stop", time.Duration(x.Time-end))
			}
		}
	}
}

func burnFor(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	burn(ctx)
}
