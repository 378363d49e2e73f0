package cpucheck

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// findCPUAcct finds cpuacct.usage_percpu of the root group (cgroup v1,
// kernel/sched/cpuacct.c). Version 2 has no like: the root's cpu.stat is made of
// /proc/stat's ticks.
func findCPUAcct(sys string) string {
	if sys == "" {
		sys = "/sys"
	}
	for _, dir := range []string{"cpuacct", "cpu,cpuacct"} {
		path := filepath.Join(sys, "fs/cgroup", dir, "cpuacct.usage_percpu")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func readCPUAcct(path string, cpu int) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return parseCPUAcct(f, cpu)
}

// parseCPUAcct picks a CPU's nanoseconds from the line of all possible CPUs.
func parseCPUAcct(r io.Reader, cpu int) (int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if cpu < 0 || cpu >= len(fields) {
		return 0, fmt.Errorf("cpuacct.usage_percpu: no CPU %d among %d", cpu, len(fields))
	}
	ns, err := strconv.ParseInt(fields[cpu], 10, 64)
	if err != nil || ns < 0 {
		return 0, errors.New("cpuacct.usage_percpu: " + fields[cpu] + " is no time")
	}
	return ns, nil
}

// avoid keeps the calling thread off a CPU, as far as there is another.
func avoid(cpu int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return
	}
	set.Clear(cpu)
	if set.Count() > 0 {
		_ = unix.SchedSetaffinity(0, &set) // if refused, the marks cost a little on that CPU
	}
}
