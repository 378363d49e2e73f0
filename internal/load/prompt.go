package load

import "golang.org/x/sys/unix"

// promptly runs f on the calling thread, which must be locked, ahead of all threads of
// the normal policy, so that what has to happen at one time on many hosts, or among many
// busy threads, does. Where this is not allowed (CAP_SYS_NICE), f runs as it may; how late things
// were is measured and told in any case.
func promptly(f func()) {
	ahead := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if unix.SchedSetAttr(0, &ahead, 0) == nil {
		defer func() { _ = schedule(0, unix.SCHED_NORMAL) }() // from here, always allowed
	}
	f()
}
