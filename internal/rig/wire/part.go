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

// shortSlice is how long the scheduler lets a thread of the rig run before others: the least
// there is. Of threads that wake, those with a shorter slice come first (EEVDF, Linux 6.12; older
// kernels ignore it): an interrupt must not wait for the process that it interrupts.
const shortSlice = 100_000 // ns

func preferMe() {
	attr := unix.SchedAttr{Policy: unix.SCHED_NORMAL, Runtime: shortSlice}
	attr.Size = unix.SizeofSchedAttr
	if prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		attr.Nice = int32(20 - prio)
	}
	_ = unix.SchedSetAttr(0, &attr, 0) // without it interrupts are late, which the counts show
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
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
