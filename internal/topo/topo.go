// Package topo tells how a machine looks to its network stack: CPUs with their packages,
// caches and NUMA nodes; the PCI tree above the NICs with what each link carries; every
// NIC with its queues, interrupts and steering; and what of it stands in the way of
// speed, each time with the figures that say so.
//
// It only reads, and it reads a [Tree]: this machine's files ([Live]), or those that
// [Capture] took on another. What comes over netlink and ioctl is asked on the live
// machine only and is part of a capture as JSON.
//
// What sysfs and drivers say is repeated, not proved. Virtual machines invent PCI links, caches and
// nodes; [NIC.Nature] and the judgements take account of the usual inventions only. A
// judgement is about how things are arranged, not about what it costs: that takes a
// measurement.
package topo

import (
	"github.com/stackmeter/stackmeter/internal/host"
)

// SchemaVersion is the version of Machine's JSON form. It grows when a field changes its
// meaning or goes.
const SchemaVersion = 1

// Machine is a machine as the network stack sees it.
type Machine struct {
	Schema       int          `json:"schema"`                          // version of this format
	Captured     bool         `json:"captured,omitempty"`              // read from a captured tree, not from the machine itself
	Note         string       `json:"note,omitempty"`                  // what a captured tree says of itself, as that it was made up
	Product      string       `json:"product,omitempty"`               // vendor and model, as the firmware names them
	Kernel       string       `json:"kernel"`                          // release
	Architecture string       `json:"architecture"`                    // of this program where live, as Go names it; else absent
	CPUModel     string       `json:"cpu_model"`                       // of the first CPU
	Virtualised  bool         `json:"virtualised"`                     // a hypervisor shows itself, or a NIC that only hypervisors have
	CPUs         []CPU        `json:"cpus"`                            // those online
	CPUsOffline  host.CPUList `json:"cpus_offline,omitempty"`          // present but not online
	Caches       []Cache      `json:"caches"`                          // each once
	Nodes        []Node       `json:"numa_nodes"`                      // NUMA nodes; none where the kernel knows of none
	PCI          []PCIDevice  `json:"pci"`                             // the NICs' devices, the bridges above them, and what else is behind those; parents before children
	NICs         []NIC        `json:"nics"`                            // all but the loopback, by index
	RPSFlows     *int64       `json:"rps_sock_flow_entries,omitempty"` // flows in the table of RFS (net.core.rps_sock_flow_entries); 0: RFS is off; absent in network namespaces but the first, which have no such file
	Judgements   []Judgement  `json:"judgements"`                      // what stands in the way, worst first
	Warnings     []Warning    `json:"warnings"`                        // files that could not be understood
}

// CPU is an online CPU.
type CPU struct {
	CPU      int          `json:"cpu"`             // the kernel's number
	Package  int          `json:"package"`         // physical package; -1: not known
	Core     int          `json:"core"`            // within the package; -1: not known
	Node     int          `json:"numa_node"`       // -1: not known
	Siblings host.CPUList `json:"thread_siblings"` // threads of the same core, this one too
}

// Cache is a cache that some CPUs share. Virtual machines may tell wrong sizes and sharing.
type Cache struct {
	Level     int          `json:"level"`      // 1 is nearest
	Type      string       `json:"type"`       // "Data", "Instruction", "Unified"
	SizeBytes int64        `json:"size_bytes"` // 0: not told
	CPUs      host.CPUList `json:"cpus"`       // that share it
}

// Node is a NUMA node.
type Node struct {
	Node        int          `json:"node"`                   // the kernel's number
	CPUs        host.CPUList `json:"cpus"`                   // online ones; empty for a node of memory only
	MemoryBytes int64        `json:"memory_bytes,omitempty"` // of the node
	Distances   []int64      `json:"distances,omitempty"`    // to each node in order, as the firmware rates them: 10 is its own
}

// Judgement is something about the arrangement that costs, or may cost, throughput.
type Judgement struct {
	Code     string     `json:"code"`           // stable name, as "link-narrow"
	Severity string     `json:"severity"`       // "problem": mend it first; "note": know it
	Text     string     `json:"text"`           // what is so, with the figures
	Mend     string     `json:"mend,omitempty"` // what changes it
	NICs     []string   `json:"nics"`           // that it is about
	PCI      []string   `json:"pci,omitempty"`  // the functions at the ends of the link that it is about
	Evidence []Evidence `json:"evidence"`       // the figures behind it

	CapacityBits float64 `json:"capacity_bits_per_second,omitempty"` // of the link or bus that it is about, each way; of a conventional bus at its slowest, both ways together
}

// Evidence is one figure, and where it was read.
type Evidence struct {
	What  string `json:"what"`  // as "link of 0000:17:00.0"
	Value string `json:"value"` // with its unit
	From  string `json:"from"`  // a path in the tree, or "ethtool", "netlink", or how it was computed
}

// Severities.
const (
	Problem = "problem"
	Note    = "note"
)
