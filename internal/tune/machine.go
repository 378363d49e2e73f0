package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// machineTarget is the target of settings of the whole machine.
const machineTarget = "machine"

// Machine is what the user handed over: nothing else is changed, and no work is
// steered to other CPUs. It acts in the network namespace of the calling thread.
type Machine struct {
	Root host.Root
	NICs []string
	// CPUs, where not nil, are those whose own settings may be changed and those to which work may be
	// steered. Where nil no CPU's settings are changed and work may be steered to all that are online.
	CPUs      host.CPUList
	Processes []string // names as in /proc/PID/comm, or numbers
	Cgroups   []string // directories with cpuset files, absolute
}

// Validate holds what was handed over against the machine. A NIC that carries the
// default route is refused unless allowed; override is the flag that allows it. Errors wrap
// host.ErrInput.
func (m *Machine) Validate(allowed bool, override string) error {
	for i, n := range m.NICs {
		if err := m.Root.ValidateNIC("--nic", n, allowed, override); err != nil {
			return err
		}
		if slices.Contains(m.NICs[:i], n) {
			return fmt.Errorf("%w: --nic: %s is given twice", host.ErrInput, n)
		}
		if m.Root.IsLive() {
			if err := m.Root.CheckNIC(n); err != nil {
				return fmt.Errorf("%w: --nic: %w", host.ErrInput, err)
			}
		}
	}
	if m.CPUs != nil {
		if err := m.Root.ValidateCPUs("--cpus", m.CPUs); err != nil {
			return err
		}
	}
	for _, p := range m.Processes {
		if pids, err := m.pids(p); err != nil {
			return err
		} else if len(pids) == 0 {
			return fmt.Errorf("%w: --process: no process %q runs", host.ErrInput, p)
		}
	}
	for _, c := range m.Cgroups {
		if !strings.HasPrefix(c, "/sys/fs/cgroup/") || filepath.Clean(c) != c {
			return fmt.Errorf("%w: --cgroup: %q is no directory below /sys/fs/cgroup, written in full", host.ErrInput, c)
		}
		if _, err := os.Stat(filepath.Join(m.Root.Sys, strings.TrimPrefix(c, "/sys/"))); err != nil {
			return fmt.Errorf("%w: --cgroup: %w", host.ErrInput, err)
		}
	}
	return nil
}

// targets are the things of a scope that were handed over.
func (m *Machine) targets(s Scope) []string {
	switch s {
	case NIC:
		return m.NICs
	case CPU:
		var out []string
		for _, c := range m.CPUs {
			out = append(out, "cpu"+strconv.Itoa(c))
		}
		return out
	case Process:
		return m.Processes
	case Cgroup:
		return m.Cgroups
	}
	return []string{machineTarget}
}

// Items are all settings of what was handed over, in the order of the catalogue,
// whether the machine can have them or not.
func (m *Machine) Items() []Item {
	var out []Item
	for _, d := range Catalogue() {
		for _, t := range m.targets(d.Scope) {
			out = append(out, Item{d, t, m})
		}
	}
	return out
}

// Item is a setting of one thing that was handed over.
func (m *Machine) Item(name, target string) (Item, error) {
	d, err := Find(name)
	if err != nil {
		return Item{}, err
	}
	if !slices.Contains(m.targets(d.Scope), target) {
		return Item{}, fmt.Errorf("%w: %s of %s: was not handed over; give %s", host.ErrInput, name, target, flagOf(d.Scope))
	}
	return Item{d, target, m}, nil
}

// flagOf is the flag that hands over things of a scope.
func flagOf(s Scope) string {
	return map[Scope]string{NIC: "--nic NIC", CPU: "--cpus LIST", Process: "--process NAME", Cgroup: "--cgroup DIR"}[s]
}

// cpus are those to which work may be steered.
func (m *Machine) cpus() (host.CPUList, error) {
	if m.CPUs != nil {
		return m.CPUs, nil
	}
	return m.Root.CPUsOnline()
}

// node is the memory node of a NIC: that of the nearest device above it that
// has one; -1 where the firmware tells none.
func (m *Machine) node(nic string) int {
	dir, err := filepath.EvalSymlinks(filepath.Join(m.Root.NICDir(nic), "device"))
	for ; err == nil && len(dir) > len(m.Root.Sys) && filepath.Base(dir) != "devices"; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "numa_node"))
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// nodes are the memory nodes of the NICs handed over, and which NIC lacks one.
func (m *Machine) nodes() (nodes host.CPUList, without string) {
	for _, n := range m.NICs {
		if node := m.node(n); node >= 0 {
			nodes = append(nodes, node)
		} else {
			without = n
		}
	}
	return host.CPUs(nodes...), without
}

// localCPUs are the CPUs of a node to which work may be steered; all where the
// node is -1, as on machines with one.
func (m *Machine) localCPUs(node int) (host.CPUList, error) {
	all, err := m.cpus()
	if err != nil || node < 0 {
		return all, err
	}
	b, err := os.ReadFile(filepath.Join(m.Root.Sys, "devices", "system", "node", fmt.Sprintf("node%d", node), "cpulist"))
	if err != nil {
		return nil, fmt.Errorf("CPUs of node %d: %w", node, err)
	}
	of, err := host.ParseCPUList(string(b))
	if err != nil {
		return nil, fmt.Errorf("CPUs of node %d: %w", node, err)
	}
	local := all.Without(all.Without(of))
	if len(local) == 0 {
		return nil, fmt.Errorf("%w: none of the CPUs %v is on node %d; hand over some of %v with --cpus", host.ErrInput, all, node, of)
	}
	return local, nil
}

// within refuses CPUs that are offline or were not handed over.
func (m *Machine) within(what string, l host.CPUList) error {
	if err := m.Root.ValidateCPUs(what, l); err != nil {
		return err
	}
	all, err := m.cpus()
	if err != nil {
		return err
	}
	if out := l.Without(all); len(out) > 0 {
		return fmt.Errorf("%w: %s: CPU %v was not handed over; choose from %v or widen --cpus", host.ErrInput, what, out, all)
	}
	return nil
}

// Warnings tells of daemons that would undo the settings wanted.
func (m *Machine) Warnings(wants []Want) []string {
	var out []string
	steers := slices.ContainsFunc(wants, func(w Want) bool { return w.Item.Name == "irq-affinity" })
	if pids, _ := m.pids("irqbalance"); steers && len(pids) > 0 {
		out = append(out, fmt.Sprintf("irqbalance runs (process %d) and moves interrupts every 10 s: stop it, or it undoes irq-affinity", pids[0]))
	}
	if pids, _ := m.pids("tuned"); len(wants) > 0 && len(pids) > 0 {
		out = append(out, fmt.Sprintf("tuned runs (process %d) and may set the same things: see --emit tuned", pids[0]))
	}
	return out
}

// pids finds processes by name or number.
func (m *Machine) pids(spec string) ([]int, error) {
	if n, err := strconv.Atoi(spec); err == nil {
		if _, err := os.Stat(filepath.Join(m.Root.Proc, spec, "task")); err != nil || n <= 0 {
			return nil, nil
		}
		return []int{n}, nil
	}
	entries, err := os.ReadDir(m.Root.Proc)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(m.Root.Proc, e.Name(), "comm")); err == nil && strings.TrimSpace(string(b)) == spec {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}
