package cpu

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const pfKthread = 0x00200000 // PF_KTHREAD, include/linux/sched.h

// taskTimes is the run time of every thread of the machine that this process may see.
type taskTimes struct {
	run   map[[2]int]int64 // by process and thread: nanoseconds
	procs map[int]procInfo
}

type procInfo struct {
	comm    string
	kthread bool
	threads int
}

// readTaskTimes walks the processes: two files a process, one more a thread beyond
// the first. What ends under way is left out.
func readTaskTimes(proc string) (*taskTimes, error) {
	d, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	t := &taskTimes{run: map[[2]int]int64{}, procs: map[int]procInfo{}}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		info, err := readProcInfo(proc, pid)
		if err != nil {
			continue
		}
		t.procs[pid] = info
		dir := filepath.Join(proc, name)
		if info.threads == 1 {
			if ns, err := readSchedstat(dir); err == nil {
				t.run[[2]int{pid, pid}] = ns
			}
			continue
		}
		threads, _ := os.ReadDir(filepath.Join(dir, "task"))
		for _, e := range threads {
			tid, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			if ns, err := readSchedstat(filepath.Join(dir, "task", e.Name())); err == nil {
				t.run[[2]int{pid, tid}] = ns
			}
		}
	}
	return t, nil
}

func readSchedstat(dir string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "schedstat"))
	if err != nil {
		return 0, err
	}
	return ParseSchedstat(b)
}

// ParseSchedstat reads the run time in nanoseconds, the first of the three numbers
// of a schedstat file (Documentation/scheduler/sched-stats.rst).
func ParseSchedstat(b []byte) (int64, error) {
	fields := bytes.Fields(b)
	if len(fields) != 3 {
		return 0, fmt.Errorf("schedstat: %d fields, want 3", len(fields))
	}
	ns, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil || ns < 0 {
		return 0, fmt.Errorf("schedstat: run time %q", fields[0])
	}
	return ns, nil
}

func readProcInfo(proc string, pid int) (procInfo, error) {
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return procInfo{}, err
	}
	return parsePIDStat(b)
}

// parsePIDStat reads name, flags and number of threads of /proc/PID/stat
// (fs/proc/array.c). The name stands in parentheses and may hold any character.
func parsePIDStat(b []byte) (procInfo, error) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || shut < open {
		return procInfo{}, fmt.Errorf("stat of a process: no name in %q", b)
	}
	fields := bytes.Fields(b[shut+1:])
	const flags, threads = 9 - 3, 20 - 3 // numbered from state, field 3
	if len(fields) <= threads {
		return procInfo{}, fmt.Errorf("stat of a process: %d fields", len(fields)+2)
	}
	f, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	if err != nil {
		return procInfo{}, fmt.Errorf("stat of a process: flags %q", fields[flags])
	}
	n, err := strconv.Atoi(string(fields[threads]))
	if err != nil || n < 0 {
		return procInfo{}, fmt.Errorf("stat of a process: threads %q", fields[threads])
	}
	return procInfo{comm: string(b[open+1 : shut]), kthread: f&pfKthread != 0, threads: n}, nil
}
