package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNowIsMonotonic holds Now between two readings of the system call, which are
// what other processes compare with.
func TestNowIsMonotonic(t *testing.T) {
	read := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	for range 1000 {
		before, now, after := read(), Now(), read()
		if now < before || now > after {
			t.Fatalf("%d is not between %d and %d", now, before, after)
		}
	}
}

func TestSleepUntil(t *testing.T) {
	due := Now() + (5 * time.Millisecond).Nanoseconds()
	SleepUntil(due)
	if now := Now(); now < due {
		t.Errorf("woke %d ns early", due-now)
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
