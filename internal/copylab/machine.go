package copylab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/memcopy"
)

// describe fills in what the figures belong to, and what was and was not to be had.
func (l *lab) describe() {
	vendor, has := memcopy.CPU()
	m := Machine{Model: model(), Vendor: vendor, Features: has.String(), Go: runtime.Version(), GODEBUG: os.Getenv("GODEBUG")}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	m.Caches = caches(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cache", l.cfg.CPU))
	if len(m.Caches) == 0 {
		m.Caches = []Cache{{1, 32 << 10}, {2, 1 << 20}, {3, 32 << 20}}
		l.warn("no-cache-sizes", "sysfs tells no cache sizes: 32 KiB, 1 MiB and 32 MiB are assumed, and the levels may be misnamed")
	}
	l.report.Machine = m
	for _, r := range memcopy.Routines() {
		row := Routine{Name: r.Name, Family: string(r.Family), Method: r.Method, Available: r.Available(), NonTemporal: r.NonTemporal, Lossless: r.Lossless}
		if err := r.Check(); err != nil {
			row.Reason = err.Error()
		}
		l.report.Routines = append(l.report.Routines, row)
	}
	for _, f := range []memcopy.Family{memcopy.FamilyCopy, memcopy.FamilyChecksum, memcopy.FamilyFused} {
		last := ""
		for _, n := range []int{64, packet, 64 << 10, 4 << 20} {
			r, why := memcopy.Best(f, n)
			if r.Name != last {
				l.report.Best = append(l.report.Best, Choice{string(f), n, r.Name, why})
			}
			last = r.Name
		}
	}
}

func model() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// stealSeconds is the time for which the hypervisor has kept a CPU from this machine
// since it started, from /proc/stat, in steps of a hundredth; 0 where it is not told.
func stealSeconds(cpu int) float64 {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	return parseSteal(f, cpu)
}

func parseSteal(r io.Reader, cpu int) float64 {
	const steal = 8 // cpuN user nice system idle iowait irq softirq steal
	for s := bufio.NewScanner(r); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) > steal && f[0] == fmt.Sprintf("cpu%d", cpu) {
			ticks, _ := strconv.ParseFloat(f[steal], 64)
			return ticks / 100 // USER_HZ, the same on every Linux of this kind
		}
	}
	return 0
}

// caches reads the data and unified caches of a CPU, ascending.
func caches(dir string) []Cache {
	var out []Cache
	indexes, _ := filepath.Glob(filepath.Join(dir, "index*"))
	for _, d := range indexes {
		kind, _ := os.ReadFile(filepath.Join(d, "type"))
		if strings.TrimSpace(string(kind)) == "Instruction" {
			continue
		}
		level, _ := os.ReadFile(filepath.Join(d, "level"))
		size, _ := os.ReadFile(filepath.Join(d, "size"))
		n, err1 := strconv.Atoi(strings.TrimSpace(string(level)))
		kib, err2 := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(size)), "K"), 10, 64)
		if err1 == nil && err2 == nil {
			out = append(out, Cache{n, kib << 10})
		}
	}
	slices.SortFunc(out, func(a, b Cache) int { return a.Level - b.Level })
	return out
}
