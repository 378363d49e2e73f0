package load

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// sameCPU reports whether all threads of a spec are pinned to one CPU, and which.
func sameCPU(s *Spec) (int, bool) {
	cpus := s.CPUs
	if len(cpus) == 0 && s.Model != Epoll {
		for i := range s.Flows {
			cpus = append(cpus, s.Flows[i].CPU)
		}
	}
	if len(cpus) == 0 {
		return -1, false
	}
	for _, cpu := range cpus {
		if cpu != cpus[0] {
			return -1, false
		}
	}
	return cpus[0], true
}

// eachThread calls f with every thread of this process; one that ends meanwhile
// (unix.ESRCH) is no error.
func eachThread(f func(tid int) error) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list own threads: %w", err)
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// ProcessCPUs are the CPUs to which a process of the engine [Ustack] is confined: those that
// were asked for its flows; empty: where one of them may run anywhere.
func (s *Spec) ProcessCPUs() []int {
	cpus := slices.Clone(s.CPUs)
	if len(cpus) == 0 && s.Model != Epoll {
		for i := range s.Flows {
			if s.Flows[i].CPU < 0 {
				return nil
			}
			cpus = append(cpus, s.Flows[i].CPU)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// pinProcess confines every thread of this process; threads made later inherit it.
func pinProcess(cpus []int) error {
	return eachThread(func(tid int) error { return pin(tid, cpus) })
}

// pin confines a thread, 0 for the calling one, to CPUs, in ascending order, and reads them back.
func pin(tid int, cpus []int) error {
	if err := sysx.SetAffinity(tid, cpus); err != nil {
		return fmt.Errorf("pin to CPUs %v: %w (are they online and in this process's cpuset?)", cpus, err)
	}
	got, err := sysx.Affinity(tid)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !slices.Equal(got, cpus) {
		return fmt.Errorf("affinity of thread %d to CPUs %v is not in force: the kernel has %v", tid, cpus, got)
	}
	return nil
}
