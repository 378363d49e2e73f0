package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// begin opens what a process of the rig was given, and ends the process with the one that started it.
func begin() (*memory, error) {
	m, err := mapMemory(os.NewFile(memoryFD, "stackmeter-wire"))
	if err != nil {
		return nil, err
	}
	pipe := os.NewFile(pipeFD, "pipe")
	go func() {
		// Nobody writes: it is the end, whether the rig was closed or its maker was killed.
		_, _ = pipe.Read(make([]byte, 1))
		os.Exit(0)
	}()
	return m, nil
}

// Priorities of the real-time threads: hardware runs beside the CPUs, an interrupt over whatever runs.
const (
	irqPriority      = 1
	hardwarePriority = 2
)

// shortSlice is how long the scheduler lets a thread of the rig run before others: the least
// there is. Of threads that wake, those with a shorter slice come first (EEVDF, Linux 6.12; older
// kernels ignore it).
const shortSlice = 100_000 // ns

// prefer puts the calling thread before others: as a real-time thread where that is allowed, as
// root's is, else with a short slice. It reports whether it is the first.
func prefer(priority uint32) (realTime bool) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	rt := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if unix.SchedSetAttr(0, &rt, 0) == nil {
		return true
	}
	fair := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: shortSlice}
	if prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		fair.Nice = int32(20 - prio)
	}
	_ = unix.SchedSetAttr(0, &fair, 0) // without it interrupts come later, which the counts show
	return false
}

// processState is the letter of a process in /proc/PID/stat, 0 if it is gone.
func processState(pid int) byte {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	if _, after, ok := strings.Cut(string(b), ") "); ok && after != "" {
		return after[0]
	}
	return 0
}

func fail(role string, err error) int {
	fmt.Fprintf(os.Stderr, "stackmeter-%s: %v\n", role, err)
	return 1
}
