package topo

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

const (
	cpuDir  = "sys/devices/system/cpu"
	nodeDir = "sys/devices/system/node"
)

// cpus reads the CPUs online, their caches and nodes.
func (r *reader) processors(m *Machine) error {
	online := r.cpus(cpuDir, "online")
	if len(online) == 0 {
		return fmt.Errorf("%s/online: names no CPU: not the files of a Linux host, or not readable", cpuDir)
	}
	m.CPUsOffline = r.cpus(cpuDir, "present").Without(online)
	r.nodes(m)
	nodeOf := map[int]int{}
	for _, n := range m.Nodes {
		for _, c := range n.CPUs {
			nodeOf[c] = n.Node
		}
	}
	caches := map[string]bool{}
	for _, id := range online {
		dir := path.Join(cpuDir, "cpu"+strconv.Itoa(id))
		c := CPU{
			CPU: id, Package: r.id(dir, "topology/physical_package_id"), Core: r.id(dir, "topology/core_id"),
			Node: -1, Siblings: r.cpus(dir, "topology/thread_siblings_list"),
		}
		if n, ok := nodeOf[id]; ok {
			c.Node = n
		}
		m.CPUs = append(m.CPUs, c)
		r.caches(m, path.Join(dir, "cache"), caches)
	}
	return nil
}

// caches adds those of a CPU that were not seen at another.
func (r *reader) caches(m *Machine, dir string, seen map[string]bool) {
	for _, i := range r.numbered("index", dir) {
		d := path.Join(dir, "index"+strconv.Itoa(i))
		level, ok := r.number(d, "level")
		if !ok {
			continue
		}
		c := Cache{Level: int(level), Type: r.text(d, "type"), CPUs: r.cpus(d, "shared_cpu_list")}
		key := fmt.Sprint(c.Level, c.Type, c.CPUs)
		if seen[key] {
			continue
		}
		seen[key] = true
		if s := r.text(d, "size"); s != "" {
			kib, err := strconv.ParseInt(strings.TrimSuffix(s, "K"), 10, 32)
			if err != nil || kib < 0 {
				r.warn(path.Join(d, "size"), fmt.Errorf("%.40q is no size of a cache", s))
			} else {
				c.SizeBytes = kib << 10
			}
		}
		m.Caches = append(m.Caches, c)
	}
}

func (r *reader) nodes(m *Machine) {
	for _, id := range r.numbered("node", nodeDir) {
		dir := path.Join(nodeDir, "node"+strconv.Itoa(id))
		n := Node{Node: id, CPUs: r.cpus(dir, "cpulist")}
		total, _ := r.content(path.Join(dir, "meminfo"), func(s string) string { return lineWith(s, "MemTotal:") })
		if f := strings.Fields(total); len(f) >= 4 {
			kib, err := strconv.ParseInt(f[3], 10, 50)
			if err != nil || kib < 0 {
				r.warn(path.Join(dir, "meminfo"), fmt.Errorf("%.60q gives no size", total))
			} else {
				n.MemoryBytes = kib << 10
			}
		}
		for _, f := range strings.Fields(r.text(dir, "distance")) {
			d, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				r.warn(path.Join(dir, "distance"), fmt.Errorf("%.40q is no distance", f))
				break
			}
			n.Distances = append(n.Distances, d)
		}
		m.Nodes = append(m.Nodes, n)
	}
}

// lineWith is the first line that holds a word.
func lineWith(s, word string) string {
	for line := range strings.Lines(s) {
		if strings.Contains(line, word) {
			return line
		}
	}
	return ""
}

// cpuinfoKeys are the keys of /proc/cpuinfo that are used; others, as a serial number, are
// not even captured.
var cpuinfoKeys = []string{"model name", "CPU part", "cpu", "uarch", "CPU implementer"}

// firstCPU leaves of /proc/cpuinfo what is used of its first CPU.
func firstCPU(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		key, value, ok := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		switch {
		case strings.TrimSpace(line) == "" && out.Len() > 0:
			return out.String()
		case ok && key == "flags" && slices.Contains(strings.Fields(value), "hypervisor"):
			out.WriteString("flags\t\t: hypervisor\n")
		case ok && slices.Contains(cpuinfoKeys, key):
			out.WriteString(line)
		}
	}
	return out.String()
}

// identity reads what the machine is called.
func (r *reader) identity(m *Machine) {
	m.Kernel = r.text("proc/sys/kernel/osrelease")
	s, _ := r.content("proc/cpuinfo", firstCPU)
	var err error
	if m.CPUModel, m.Virtualised, err = host.ParseCPUInfo(strings.NewReader(s)); err != nil {
		r.warn("proc/cpuinfo", err)
	}
	if strings.HasPrefix(m.CPUModel, "0x") {
		m.CPUModel = "CPU part " + m.CPUModel // Arm has no names in the kernel
	}
	vendor, product := r.text("sys/class/dmi/id/sys_vendor"), r.text("sys/class/dmi/id/product_name")
	m.Product = product
	if !strings.HasPrefix(product, vendor) {
		m.Product = strings.TrimSpace(vendor + " " + product)
	}
	if t := r.text("sys/hypervisor/type"); t != "" {
		m.Virtualised = true
	}
	if slices.ContainsFunc([]string{"QEMU", "Amazon EC2", "VMware", "Google Compute Engine", "Virtual Machine", "KVM", "innotek"},
		func(v string) bool { return strings.Contains(m.Product, v) }) && !strings.Contains(m.Product, ".metal") {
		m.Virtualised = true
	}
	if n, ok := r.number("proc/sys/net/core/rps_sock_flow_entries"); ok {
		m.RPSFlows = &n
	}
	m.Note = r.text(answersDir, "note")
}
