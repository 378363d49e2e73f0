// Package madeup makes the files of machines that nobody captured, from what the kernel
// documents (Documentation/ABI, drivers' sources) and what such machines print: for tests of
// what reads topologies. Every tree says in its note that it was made up; what a real
// machine of that type shows may differ.
package madeup

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// note is what each tree says of itself.
const note = "Made up from what kernels document, not captured on a machine."

// builder makes the tree of one machine.
type builder struct {
	*topo.Memory
	cpus  int
	irq   int // the next free one
	index int // the next interface's
	table strings.Builder
}

func newBuilder(model, kernel string, virtual bool) *builder {
	b := &builder{Memory: &topo.Memory{}, irq: 40, index: 2}
	b.Write("stackmeter/note", note+"\n")
	b.Write("proc/sys/kernel/osrelease", kernel+"\n")
	b.Write("proc/sys/net/core/rps_sock_flow_entries", "0\n")
	info := model
	if !strings.Contains(info, ":") {
		info = "model name\t: " + info
	}
	if virtual {
		info += "\nflags\t\t: fpu hypervisor lahf_lm"
	}
	b.Write("proc/cpuinfo", info+"\n")
	return b
}

// product sets what the firmware calls the machine.
func (b *builder) product(vendor, name string) {
	b.Write("sys/class/dmi/id/sys_vendor", vendor+"\n")
	b.Write("sys/class/dmi/id/product_name", name+"\n")
}

// layout is how CPUs are arranged. The second threads of all cores come after all first
// ones, as firmware numbers them on x86.
type layout struct {
	packages, nodes int // nodes of the whole machine; 0: the kernel has no NUMA
	cores, threads  int // cores of a package, threads of a core
	l3Cores         int // cores that share a last-level cache; 0: none told
	l2, l3          string
	gib             int // of a node
	near, far       int // distances to another node of the package, of another package
}

func (b *builder) processors(l layout) {
	cores := l.packages * l.cores
	b.cpus = cores * l.threads
	all := fmt.Sprintf("0-%d\n", b.cpus-1)
	b.Write("sys/devices/system/cpu/online", all)
	b.Write("sys/devices/system/cpu/present", all)
	nodes := make([][]int, l.nodes)
	for cpu := range b.cpus {
		core := cpu % cores
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/", cpu)
		b.Write(dir+"topology/physical_package_id", fmt.Sprintln(core/l.cores))
		b.Write(dir+"topology/core_id", fmt.Sprintln(core%l.cores))
		b.Write(dir+"topology/thread_siblings_list", fmt.Sprintln(threadsOf(core, core+1, cores, l.threads)))
		own := threadsOf(core, core+1, cores, l.threads)
		b.cache(dir+"cache/index0/", 1, "Data", "32K", own)
		b.cache(dir+"cache/index1/", 1, "Instruction", "32K", own)
		b.cache(dir+"cache/index2/", 2, "Unified", l.l2, own)
		if l.l3Cores > 0 {
			first := core / l.l3Cores * l.l3Cores
			b.cache(dir+"cache/index3/", 3, "Unified", l.l3, threadsOf(first, first+l.l3Cores, cores, l.threads))
		}
		if l.nodes > 0 {
			n := core * l.nodes / cores
			nodes[n] = append(nodes[n], cpu)
		}
	}
	for n, cpus := range nodes {
		dir := fmt.Sprintf("sys/devices/system/node/node%d/", n)
		b.Write(dir+"cpulist", fmt.Sprintln(host.CPUs(cpus...)))
		b.Write(dir+"meminfo", fmt.Sprintf("Node %d MemTotal:       %d kB\n", n, l.gib<<20))
		b.Write(dir+"distance", fmt.Sprintln(strings.Join(l.distances(n), " ")))
	}
}

func threadsOf(first, end, cores, threads int) host.CPUList {
	var l []int
	for t := range threads {
		for c := first; c < end; c++ {
			l = append(l, c+t*cores)
		}
	}
	return host.CPUs(l...)
}

func (l layout) distances(from int) []string {
	var out []string
	perPackage := l.nodes / l.packages
	for to := range l.nodes {
		d := l.far
		switch {
		case to == from:
			d = 10
		case to/perPackage == from/perPackage:
			d = l.near
		}
		out = append(out, fmt.Sprint(d))
	}
	return out
}

func (b *builder) cache(dir string, level int, typ, size string, cpus host.CPUList) {
	b.Write(dir+"level", fmt.Sprintln(level))
	b.Write(dir+"type", typ+"\n")
	b.Write(dir+"size", size+"\n")
	b.Write(dir+"shared_cpu_list", fmt.Sprintln(cpus))
}

// function is a PCI function. Speed and width are "now" and "possible"; 0: no such files.
type function struct {
	class, id, driver string
	node              int
	gts, maxGTs       float64
	width, maxWidth   int
	physfn            string // path
}

// bridge is a root port or a port of a switch.
func bridge(node int, gts float64, width int, maxGTs float64, maxWidth int) function {
	return function{class: "0x060400", id: "8086:347a", driver: "pcieport", node: node, gts: gts, width: width, maxGTs: maxGTs, maxWidth: maxWidth}
}

// add makes a PCI function at a path below sys/devices and returns its directory.
func (b *builder) add(dir string, f function) string {
	dir = path.Join("sys/devices", dir)
	vendor, device, _ := strings.Cut(f.id, ":")
	b.Write(dir+"/class", f.class+"\n")
	b.Write(dir+"/vendor", "0x"+vendor+"\n")
	b.Write(dir+"/device", "0x"+device+"\n")
	b.Write(dir+"/numa_node", fmt.Sprintln(f.node))
	if f.driver != "" {
		b.link(dir+"/driver", "sys/bus/pci/drivers/"+f.driver)
	}
	if f.physfn != "" {
		b.link(dir+"/physfn", "sys/devices/"+f.physfn)
	}
	if f.gts > 0 {
		b.Write(dir+"/current_link_speed", fmt.Sprintf("%.1f GT/s PCIe\n", f.gts))
		b.Write(dir+"/current_link_width", fmt.Sprintln(f.width))
		b.Write(dir+"/max_link_speed", fmt.Sprintf("%.1f GT/s PCIe\n", f.maxGTs))
		b.Write(dir+"/max_link_width", fmt.Sprintln(f.maxWidth))
	}
	return dir
}

// link makes a symbolic link to another path of the tree, relative as sysfs has them.
func (b *builder) link(name, target string) {
	b.Link(name, strings.Repeat("../", strings.Count(name, "/"))+target)
}

// json adds a file of JSON.
func (b *builder) json(name string, v any) {
	s, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err) // of plain values
	}
	b.Write(name, string(s)+"\n")
}

// done writes what was collected.
func (b *builder) done() *topo.Memory {
	var head strings.Builder
	head.WriteString("     ")
	for c := range b.cpus {
		fmt.Fprintf(&head, " %10s", fmt.Sprintf("CPU%d", c))
	}
	b.Write("proc/interrupts", head.String()+"\n"+b.table.String())
	return b.Memory
}
