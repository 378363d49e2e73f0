package sysx

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxCPUs is the largest NR_CPUS of any architecture's Kconfig. unix.CPUSet
// ends at 1024.
const maxCPUs = 8192

const wordBits = 32 << (^uintptr(0) >> 63)

// Affinity returns the CPUs, ascending, on which the thread tid may run
// (sched_getaffinity(2)); 0 is the calling thread. The kernel leaves CPUs out that are offline. The error
// wraps unix.ESRCH if there is no such thread.
func Affinity(tid int) ([]int, error) {
	var mask [maxCPUs / wordBits]uintptr
	n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return nil, fmt.Errorf("sched_getaffinity of thread %d: %w", tid, errno)
	}
	var cpus []int
	for i := range int(n) * 8 {
		if mask[i/wordBits]&(1<<(i%wordBits)) != 0 {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// SetAffinity confines the thread tid to cpus (sched_setaffinity(2)); 0 is the
// calling thread. The kernel drops CPUs that are offline or outside the thread's cpuset
// without a word, and refuses (EINVAL) if none is left: read back with
// [Affinity]. Kernel threads that are bound to their CPU also give EINVAL.
func SetAffinity(tid int, cpus []int) error {
	var mask [maxCPUs / wordBits]uintptr
	for _, c := range cpus {
		if c < 0 || c >= maxCPUs {
			return fmt.Errorf("CPU %d: not between 0 and %d", c, maxCPUs-1)
		}
		mask[c/wordBits] |= 1 << (c % wordBits)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return fmt.Errorf("sched_setaffinity of thread %d to CPUs %v: %w", tid, cpus, errno)
	}
	return nil
}
