package host

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Facts is what a reader of a result must know of the host.
type Facts struct {
	Hostname          string            `json:"hostname"`
	KernelRelease     string            `json:"kernel_release"`
	KernelVersion     string            `json:"kernel_version"`
	Architecture      string            `json:"architecture"`
	BootID            string            `json:"boot_id"`
	GoVersion         string            `json:"go_version"`
	CPUModel          string            `json:"cpu_model"`
	CPUsPossible      CPUList           `json:"cpus_possible"`
	CPUsOnline        CPUList           `json:"cpus_online"`
	CPUs              []CPU             `json:"cpus"`
	Nodes             []Node            `json:"numa_nodes,omitempty"`
	MemoryBytes       uint64            `json:"memory_bytes"`
	Virtualised       bool              `json:"virtualised"`
	Hypervisor        string            `json:"hypervisor,omitempty"` // as the firmware names it; absent where it doesn't
	TickHz            int               `json:"tick_hertz,omitempty"` // of the kernel's configuration, where visible
	IRQTimeAccounting string            `json:"irq_time_accounting"`  // "yes", "no" or "unknown"
	Clocksource       string            `json:"clocksource"`
	CPUIdleDriver     string            `json:"cpuidle_driver,omitempty"`
	CPUIdleGovernor   string            `json:"cpuidle_governor,omitempty"`
	CPUFreqGovernor   string            `json:"cpufreq_governor,omitempty"`
	CongestionControl string            `json:"congestion_control"`
	Mitigations       map[string]string `json:"mitigations,omitempty"`
	Sysctls           map[string]string `json:"sysctls"`
	NICs              []NIC             `json:"nics"`
}

// CPU is an online CPU and what it shares.
type CPU struct {
	CPU      int     `json:"cpu"`
	Package  int     `json:"package"`
	Core     int     `json:"core"`
	Node     int     `json:"numa_node"` // -1: not known
	Siblings CPUList `json:"thread_siblings"`
	Caches   []Cache `json:"caches,omitempty"`
}

// Cache is a cache of a CPU. Virtual machines may tell wrong sizes and sharing.
type Cache struct {
	Level     int     `json:"level"`
	Type      string  `json:"type"` // "Data", "Instruction", "Unified"
	SizeBytes int64   `json:"size_bytes"`
	Shared    CPUList `json:"shared_by"`
}

// Node is a NUMA node.
type Node struct {
	ID   int     `json:"node"`
	CPUs CPUList `json:"cpus"`
}

// sysctls are the settings, below /proc/sys, that bear on TCP's performance.
var sysctls = []string{
	"net/core/rmem_max", "net/core/wmem_max", "net/core/rmem_default", "net/core/wmem_default",
	"net/core/netdev_budget", "net/core/netdev_budget_usecs", "net/core/netdev_max_backlog",
	"net/core/dev_weight", "net/core/busy_poll", "net/core/busy_read", "net/core/default_qdisc",
	"net/core/rps_sock_flow_entries", "net/core/skb_defer_max", "net/core/gro_normal_batch",
	"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_mem", "net/ipv4/tcp_timestamps", "net/ipv4/tcp_sack",
	"net/ipv4/tcp_window_scaling", "net/ipv4/tcp_autocorking", "net/ipv4/tcp_limit_output_bytes",
	"net/ipv4/tcp_available_congestion_control", "kernel/sched_autogroup_enabled", "kernel/numa_balancing",
}

// Facts reads all facts. What a host doesn't show is absent; an error means that its
// /proc or /sys can't be read at all.
func (r Root) Facts() (*Facts, error) {
	k := func(p string) string { return optional(r.Proc, "sys", p) }
	f := &Facts{
		Hostname: k("kernel/hostname"), KernelRelease: k("kernel/osrelease"), KernelVersion: k("kernel/version"),
		Architecture: runtime.GOARCH, BootID: r.BootID(), GoVersion: runtime.Version(),
		Clocksource:       optional(r.Sys, "devices/system/clocksource/clocksource0/current_clocksource"),
		CPUIdleDriver:     optional(r.CPUDir(), "cpuidle/current_driver"),
		CPUIdleGovernor:   optional(r.CPUDir(), "cpuidle/current_governor"),
		CPUFreqGovernor:   optional(r.CPUDir(), "cpu0/cpufreq/scaling_governor"),
		CongestionControl: k("net/ipv4/tcp_congestion_control"),
		Mitigations:       map[string]string{}, Sysctls: map[string]string{}, IRQTimeAccounting: "unknown",
	}
	var err error
	if f.CPUsOnline, err = r.CPUsOnline(); err != nil {
		return nil, err
	}
	if f.CPUsPossible, err = r.CPUsPossible(); err != nil {
		return nil, err
	}
	for _, c := range f.CPUsOnline {
		f.CPUs = append(f.CPUs, r.CPU(c))
	}
	nodes, _ := filepath.Glob(filepath.Join(r.Sys, "devices/system/node/node[0-9]*"))
	for _, n := range nodes {
		id, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(n), "node"))
		cpus, _ := ParseCPUList(optional(n, "cpulist"))
		f.Nodes = append(f.Nodes, Node{id, cpus})
	}
	if err := f.cpuinfo(r); err != nil {
		return nil, err
	}
	for line := range strings.Lines(optional(r.Proc, "meminfo")) {
		var kib uint64
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			f.MemoryBytes = kib << 10
		}
	}
	f.Hypervisor = optional(r.Sys, "hypervisor/type")
	if f.Hypervisor == "" && f.Virtualised {
		f.Hypervisor = strings.TrimSpace(optional(r.Sys, "class/dmi/id/sys_vendor") + " " + optional(r.Sys, "class/dmi/id/product_name"))
	}
	if c, err := os.Open(filepath.Join(r.Proc, "config.gz")); err == nil {
		f.TickHz, f.IRQTimeAccounting, err = parseConfig(c)
		c.Close()
		if err != nil {
			return nil, err
		}
	}
	weak, _ := os.ReadDir(filepath.Join(r.CPUDir(), "vulnerabilities"))
	for _, w := range weak {
		if v := optional(r.CPUDir(), "vulnerabilities", w.Name()); v != "Not affected" && v != "" {
			f.Mitigations[w.Name()] = v
		}
	}
	for _, s := range sysctls {
		if v := k(s); v != "" {
			f.Sysctls[strings.ReplaceAll(s, "/", ".")] = strings.Join(strings.Fields(v), " ")
		}
	}
	f.NICs, err = r.NICs()
	return f, err
}

// cpuinfo takes the model and the hypervisor flag from /proc/cpuinfo, whose keys
// vary by architecture.
func (f *Facts) cpuinfo(r Root) error {
	file, err := os.Open(filepath.Join(r.Proc, "cpuinfo"))
	if err != nil {
		return err
	}
	defer file.Close()
	f.CPUModel, f.Virtualised, err = ParseCPUInfo(file)
	return err
}

// ParseCPUInfo reads the first CPU's model and whether a hypervisor shows itself.
// Only x86 has the flag: false elsewhere means not known.
func ParseCPUInfo(r io.Reader) (model string, hypervisor bool, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name", "CPU part", "cpu", "uarch":
			if model == "" {
				model = strings.TrimSpace(value)
			}
		case "flags":
			hypervisor = strings.Contains(value+" ", " hypervisor ")
		}
	}
	return model, hypervisor, sc.Err()
}

func parseConfig(r io.Reader) (hz int, irqTime string, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return 0, "unknown", fmt.Errorf("config.gz: %w", err)
	}
	irqTime = "no"
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), "CONFIG_HZ="); ok {
			hz, err = strconv.Atoi(v)
			if err != nil {
				return 0, irqTime, fmt.Errorf("config.gz: CONFIG_HZ=%q", v)
			}
		}
		if sc.Text() == "CONFIG_IRQ_TIME_ACCOUNTING=y" {
			irqTime = "yes"
		}
	}
	return hz, irqTime, sc.Err()
}

// CPU reads what an online CPU shares with others; what isn't shown is -1 or absent.
func (r Root) CPU(cpu int) CPU {
	dir := filepath.Join(r.CPUDir(), "cpu"+strconv.Itoa(cpu))
	c := CPU{CPU: cpu, Node: -1}
	var err error
	if c.Package, err = number(dir, "topology/physical_package_id"); err != nil {
		c.Package = -1
	}
	if c.Core, err = number(dir, "topology/core_id"); err != nil {
		c.Core = -1
	}
	c.Siblings, _ = ParseCPUList(optional(dir, "topology/thread_siblings_list"))
	if nodes, _ := filepath.Glob(filepath.Join(dir, "node[0-9]*")); len(nodes) > 0 {
		c.Node, _ = strconv.Atoi(strings.TrimPrefix(filepath.Base(nodes[0]), "node"))
	}
	caches, _ := filepath.Glob(filepath.Join(dir, "cache/index[0-9]*"))
	for _, d := range caches {
		level, err := number(d, "level")
		if err != nil {
			continue
		}
		var kib int64
		fmt.Sscanf(optional(d, "size"), "%dK", &kib)
		shared, _ := ParseCPUList(optional(d, "shared_cpu_list"))
		c.Caches = append(c.Caches, Cache{level, optional(d, "type"), kib << 10, shared})
	}
	return c
}
