package load

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stepBack gives every thread of this process but the flows' the policy
// SCHED_IDLE. The runtime's monitor thread wakes 100 times a second for as long as a
// hot loop holds a processor; at the normal policy it preempts the loop each time,
// which cost 1 to 4 % of throughput on a virtual machine.
func (w *worker) stepBack() error {
	hot := map[int]bool{}
	for _, s := range w.slots {
		hot[s.TID()] = true
	}
	return eachThread(func(tid int) error {
		if hot[tid] {
			return nil
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
		if err := unix.SchedSetAttr(tid, &attr, 0); err != nil {
			return fmt.Errorf("give thread %d the policy SCHED_IDLE: %w", tid, err)
		}
		return nil
	})
}

// alone prepares the calling thread for a flow's hot loop. It gets a table of
// descriptors of its own: a system call of a process with several threads counts a
// reference on the file up and down, one with a table to itself does not (fdget in
// fs/file.c). The sockets are shared with the copy; the thread must end with the flow.
func alone(f *FlowSpec) error {
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return fmt.Errorf("unshare the descriptor table of flow %d: %w", f.ID, err)
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(fmt.Sprintf("sm-flow%d\x00", f.ID)))), 0, 0, 0); err != nil {
		return fmt.Errorf("name the thread of flow %d: %w", f.ID, err)
	}
	if f.CPU < 0 {
		return nil
	}
	return pin(0, f.CPU)
}
