package knob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// cpus is which CPUs are online.
type cpus struct{ root host.Root }

// CPUsInUse is the set of CPUs that are online, as a list: true CPU hotplug, so that
// no interrupt, softirq or process runs on the others. It takes about 0.1 s
// a CPU and disturbs every process.
//
// Taking a CPU off makes the kernel rewrite affinities that name it, and
// bringing it back doesn't restore them. So a [Set] notes these bystanders first
// (interrupts, RPS and XPS masks of this network namespace's NICs, cpusets, pinned
// threads) and rewrites those that differ once the CPU is back. Bystanders in other network
// namespaces than the caller's are not seen.
func CPUsInUse(root host.Root) Knob { return &cpus{root} }

func (c *cpus) Info() Info {
	return Info{Kind: "cpus", Key: "all", Name: "cpus", Target: "machine", Mechanism: "cpu-hotplug", Doc: "CPUs that are online"}
}

func (c *cpus) Canonical(v string) (string, error) {
	s, err := canonSome(v)
	if err != nil {
		return "", fmt.Errorf("CPUs in use: %w", err)
	}
	return s, nil
}

func (c *cpus) Read() (string, error) {
	l, err := c.root.CPUsOnline()
	return l.String(), err
}

func (c *cpus) Write(v string) error {
	want, err := host.ParseCPUList(v)
	if err != nil {
		return err
	}
	now, err := c.root.CPUsOnline()
	if err != nil {
		return err
	}
	on, off := want.Without(now), now.Without(want)
	for _, cpu := range slices.Concat(on, off) {
		if _, err := os.Stat(c.path(cpu)); err != nil {
			return &host.NotSupportedError{What: fmt.Sprintf("take CPU %d on or off", cpu), Reason: "the kernel gives it no 'online' file, as for the boot CPU", Mend: "choose CPUs in use that leave it as it is"}
		}
	}
	for _, cpu := range on {
		if err := writeFile(c.path(cpu), "1"); err != nil {
			return fmt.Errorf("bring CPU %d online: %w", cpu, err)
		}
	}
	for _, cpu := range slices.Backward(off) {
		if err := writeFile(c.path(cpu), "0"); err != nil {
			return fmt.Errorf("take CPU %d offline: %w", cpu, err)
		}
	}
	return nil
}

func (c *cpus) path(cpu int) string {
	return filepath.Join(c.root.CPUDir(), "cpu"+strconv.Itoa(cpu), "online")
}

func (c *cpus) Command(v string) string {
	want, _ := host.ParseCPUList(v)
	all, _ := c.root.CPUsPossible()
	var parts []string
	for _, cpu := range slices.Concat(want, all.Without(want)) {
		if _, err := os.Stat(c.path(cpu)); err == nil {
			on := 0
			if want.Has(cpu) {
				on = 1
			}
			parts = append(parts, fmt.Sprintf("echo %d > %s", on, c.path(cpu)))
		}
	}
	return strings.Join(parts, " && ")
}

// bystanders lists the values that going from the CPUs old to those of want
// may change.
func bystanders(root host.Root, old, want string) ([]*entry, error) {
	from, err := host.ParseCPUList(old)
	if err != nil {
		return nil, err
	}
	to, err := host.ParseCPUList(want)
	if err != nil {
		return nil, err
	}
	off := from.Without(to)
	if len(off) == 0 {
		return nil, nil
	}
	var ks []Knob
	var errs []error
	add := func(k Knob) { ks = append(ks, k) }
	each := func(pattern string, f func(path string)) {
		paths, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, p := range paths {
			f(p)
		}
	}
	// Reversed on restoring: threads last set first here, cpusets before threads there.
	each(filepath.Join(root.Proc, "[0-9]*", "task", "[0-9]*"), func(p string) {
		tid, _ := strconv.Atoi(filepath.Base(p))
		now, err := sysx.Affinity(tid)
		if err != nil || len(now) >= len(from) || len(host.CPUList(now).Without(off)) == len(now) || root.BoundToCPU(tid) {
			return
		}
		if t, err := root.Task(tid); err == nil {
			add(Thread(root, t))
		}
	})
	each(filepath.Join(root.Proc, "irq", "[0-9]*"), func(p string) {
		irq, _ := strconv.Atoi(filepath.Base(p))
		add(IRQ(root, irq))
	})
	each(filepath.Join(root.Sys, "class", "net", "*", "queues", "*"), func(p string) {
		nic := filepath.Base(filepath.Dir(filepath.Dir(p)))
		side, number, _ := strings.Cut(filepath.Base(p), "-")
		q, err := strconv.Atoi(number)
		if err != nil {
			return
		}
		if side == "rx" {
			add(RPS(root, nic, q))
		} else {
			add(XPS(root, nic, q))
		}
	})
	for _, top := range root.CpusetMounts() {
		errs = append(errs, filepath.WalkDir(top, func(p string, d os.DirEntry, err error) error {
			// The topmost cpuset follows the CPUs by itself and can't be written.
			if err == nil && d.Name() == "cpuset.cpus" && filepath.Dir(p) != top {
				add(List(root, p))
			}
			return nil
		}))
	}
	es, err := note(ks)
	return es, errors.Join(append(errs, err)...)
}
