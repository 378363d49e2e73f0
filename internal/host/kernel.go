package host

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// BootID is a random number that the kernel drew at boot; "" where not shown.
func (r Root) BootID() string { return optional(r.Proc, "sys/kernel/random/boot_id") }

// Exe is the file that process pid runs, without the mark of a deleted one; ""
// for kernel threads and where it can't be read.
func (r Root) Exe(pid int) string {
	exe, _ := os.Readlink(filepath.Join(r.Proc, strconv.Itoa(pid), "exe"))
	return strings.TrimSuffix(exe, " (deleted)")
}

// BoundToCPU reports whether a thread is a kernel thread whose affinity can't be
// set (PF_NO_SETAFFINITY of include/linux/sched.h).
func (r Root) BoundToCPU(tid int) bool {
	s := optional(r.Proc, strconv.Itoa(tid), "stat")
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 7 {
		return false
	}
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	return flags&0x04000000 != 0
}

// OutsideUID is the effective user id as the machine's own user namespace has it:
// it is not 0 for the root of a namespace that a user made.
func (r Root) OutsideUID() (int, error) {
	f, err := os.Open(filepath.Join(r.Proc, "self", "uid_map"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	euid := os.Geteuid()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var inside, outside, n int
		if _, err := fmt.Sscan(sc.Text(), &inside, &outside, &n); err != nil {
			return 0, fmt.Errorf("uid_map: %w", err)
		}
		if euid >= inside && euid-inside < n {
			return outside + euid - inside, nil
		}
	}
	return euid, sc.Err()
}

// CPUsOnline are the CPUs in use.
func (r Root) CPUsOnline() (CPUList, error) { return r.cpuFile("online") }

// CPUsPossible are the CPUs that can ever be.
func (r Root) CPUsPossible() (CPUList, error) { return r.cpuFile("possible") }

func (r Root) cpuFile(name string) (CPUList, error) {
	s, err := text(r.CPUDir(), name)
	if err != nil {
		return nil, err
	}
	return ParseCPUList(s)
}

// CpusetMounts are the mount points of the cpuset controller (v1) and of the
// unified hierarchy (v2).
func (r Root) CpusetMounts() []string {
	var tops []string
	for line := range strings.Lines(optional(r.Proc, "self", "mounts")) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		v1 := f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",cpuset,")
		if v1 || f[2] == "cgroup2" {
			tops = append(tops, f[1])
		}
	}
	return tops
}
