package load

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// sameCPU reports whether all flows ask for one CPU, and which.
func sameCPU(flows []FlowSpec) (int, bool) {
	for _, f := range flows {
		if f.CPU != flows[0].CPU {
			return -1, false
		}
	}
	return flows[0].CPU, true
}

// pinProcess confines every thread of this process; threads made later inherit it.
func pinProcess(cpu int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list own threads to pin them: %w", err)
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := pin(tid, cpu); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func pin(tid, cpu int) error {
	var want, got unix.CPUSet
	want.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &want); err != nil {
		return fmt.Errorf("pin thread %d to CPU %d: %w (is the CPU online and in this process's cpuset?)", tid, cpu, err)
	}
	if err := unix.SchedGetaffinity(tid, &got); err != nil {
		return fmt.Errorf("read back the affinity of thread %d: %w", tid, err)
	}
	if got != want {
		return fmt.Errorf("affinity of thread %d to CPU %d is not in force", tid, cpu)
	}
	return nil
}
