// Package clock reads CLOCK_MONOTONIC in nanoseconds and sleeps until an
// absolute time of it. All processes of a machine share this clock, so a window
// given as two times of it is the same window for all of them.
package clock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Now is CLOCK_MONOTONIC in nanoseconds.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("clock_gettime(CLOCK_MONOTONIC): %v", err)) // the kernel always has it
	}
	return ts.Nano()
}

// SleepUntil returns at or after the time t (nanoseconds of CLOCK_MONOTONIC).
// It blocks the calling thread.
func SleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}
