package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// topoBlock is one NUMA node in the picture: its CPUs by last-level cache, and the PCI
// functions and NICs at it. What belongs to no node that has CPUs comes last.
type topoBlock struct {
	title  string
	groups []cacheGroup
	rows   []topoRow
}

// cacheGroup is CPUs that share a last-level cache.
type cacheGroup struct {
	label string
	cpus  host.CPUList
}

// topoRow is a line of the PCI tree, or an interface.
type topoRow struct {
	depth   int
	address string
	what    string // its class or NICs, and driver
	link    string // what its link carries; "" if it has none
	nics    []*topo.NIC
	bad     bool // the link above is one that a judgement calls a problem
}

// topoBlocks arranges a machine.
func topoBlocks(m *topo.Machine) []topoBlock {
	var blocks []topoBlock
	index := map[int]int{} // of the block of a node
	for _, n := range m.Nodes {
		title := fmt.Sprintf("Node %d", n.Node)
		if n.MemoryBytes > 0 {
			title += fmt.Sprintf(", %.0f GiB", float64(n.MemoryBytes)/(1<<30))
		}
		if len(n.CPUs) == 0 {
			title += ", no CPU"
		}
		index[n.Node] = len(blocks)
		blocks = append(blocks, topoBlock{title: title, groups: cacheGroups(m, n.CPUs)})
	}
	if len(blocks) == 0 {
		var all []int
		for _, c := range m.CPUs {
			all = append(all, c.CPU)
		}
		blocks = append(blocks, topoBlock{title: "CPUs", groups: cacheGroups(m, host.CPUs(all...))})
	}
	elsewhere := topoBlock{title: "Node not known"}
	place := func(node int) *topoBlock {
		if len(blocks) == 1 {
			return &blocks[0]
		}
		if i, ok := index[node]; ok {
			return &blocks[i]
		}
		return &elsewhere
	}
	bad := map[string]bool{}
	for _, j := range m.Judgements {
		if len(j.PCI) == 2 && j.Severity == topo.Problem {
			bad[deviceOf(j.PCI[1])] = true
		}
	}
	tree := m.Tree()
	var to *topoBlock
	for i, b := range tree {
		if b.Depth == 0 {
			to = place(nodeBelow(tree[i:]))
		}
		row := topoRow{depth: b.Depth, address: b.Address, what: b.What(), bad: bad[deviceOf(b.Address)]}
		if b.Link != nil {
			row.link = fmt.Sprintf("%s, %s", b.Link, unit.BitRate(b.Link.Bits()))
		}
		for k := range m.NICs {
			if m.NICs[k].PCI == b.Address {
				row.nics = append(row.nics, &m.NICs[k])
			}
		}
		to.rows = append(to.rows, row)
	}
	virtual := topoBlock{title: "Interfaces without a PCI device"}
	for k := range m.NICs {
		if n := &m.NICs[k]; n.PCI == "" {
			virtual.rows = append(virtual.rows, topoRow{nics: []*topo.NIC{n}})
		}
	}
	for _, b := range []topoBlock{elsewhere, virtual} {
		if len(b.rows) > 0 {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// deviceOf is a PCI address without the function.
func deviceOf(address string) string {
	device, _, _ := strings.Cut(address, ".")
	return device
}

// nodeBelow is the first node that is told in the subtree that begins at the first branch.
func nodeBelow(tree []topo.Branch) int {
	for i, b := range tree {
		if i > 0 && b.Depth == 0 {
			break
		}
		if b.Node >= 0 {
			return b.Node
		}
	}
	return -1
}

// cacheGroups divides CPUs by their last-level caches, or by packages where no cache is told.
func cacheGroups(m *topo.Machine, cpus host.CPUList) []cacheGroup {
	last := 0
	for _, c := range m.Caches {
		last = max(last, c.Level)
	}
	var groups []cacheGroup
	rest := cpus
	for _, c := range m.Caches {
		if c.Level != last || c.Type == "Instruction" {
			continue
		}
		own := rest.Without(rest.Without(c.CPUs))
		if len(own) == 0 {
			continue
		}
		rest = rest.Without(own)
		label := fmt.Sprintf("L%d", c.Level)
		if c.SizeBytes > 0 {
			label += " " + unit.Size(c.SizeBytes)
		}
		groups = append(groups, cacheGroup{label, own})
	}
	if len(rest) > 0 {
		groups = append(groups, cacheGroup{"", rest})
	}
	if len(groups) > 4 && len(groups) == len(cpus) { // a cache each tells nothing
		return []cacheGroup{{groups[0].label + " each", cpus}}
	}
	return groups
}

// nicKeys are the letters by which the picture names NICs with queue interrupts, and the
// numbers of their colours.
func nicKeys(m *topo.Machine) map[string]int {
	keys := map[string]int{}
	for i := range m.NICs {
		if n := &m.NICs[i]; slices.ContainsFunc(n.Interrupts, func(q topo.IRQ) bool { return !q.Control }) {
			keys[n.Name] = len(keys)
		}
	}
	return keys
}

// keyLetter is A to Z, then a to z, then "+".
func keyLetter(k int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if k >= len(letters) {
		return "+"
	}
	return letters[k : k+1]
}

// onCPUs are the NICs whose queue interrupts each CPU takes.
func onCPUs(m *topo.Machine) map[int][]*topo.NIC {
	on := map[int][]*topo.NIC{}
	for i := range m.NICs {
		n := &m.NICs[i]
		for _, q := range n.Interrupts {
			if q.Control {
				continue
			}
			for _, c := range q.CPUs() {
				if !slices.Contains(on[c], n) {
					on[c] = append(on[c], n)
				}
			}
		}
	}
	return on
}

// nicTexts are the two lines in a NIC's box.
func nicTexts(n *topo.NIC, row topoRow) (first, second string) {
	first = n.Name + ", " + n.Kind
	if slices.Contains([]string{"pci", "paravirtual", "emulated", "virtual function"}, n.Kind) {
		first = n.Name + ", " + n.Driver
	}
	if s := n.SpeedBits; s > 0 {
		first += ", " + unit.BitRate(float64(s))
	}
	if n.OperState != "up" && n.OperState != "unknown" {
		first += ", " + n.OperState
	}
	parts := []string{}
	if row.address != "" {
		parts = append(parts, row.address)
	}
	if row.link != "" {
		parts = append(parts, row.link)
	}
	if len(n.Lower) > 0 {
		parts = append(parts, "above "+strings.Join(n.Lower, ", "))
	}
	var cpus host.CPUList
	for _, q := range n.Interrupts {
		if !q.Control {
			cpus = append(cpus, q.CPUs()...)
		}
	}
	queues := fmt.Sprintf("%d rx queues", len(n.Rx()))
	if len(n.Rx()) == 1 {
		queues = "1 rx queue"
	}
	if len(cpus) > 0 {
		queues += " on CPU " + host.CPUs(cpus...).String()
	}
	return first, strings.Join(append(parts, queues), ", ")
}
