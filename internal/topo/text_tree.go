package topo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// Branch is a function of the PCI tree with its depth below the host bridge.
type Branch struct {
	*PCIDevice
	Depth   int
	Virtual int // virtual functions of it that are not shown, since no NIC here is on them
}

// Tree is the PCI functions in the order of a tree, by host bridge and address. Functions
// without a NIC stand for themselves, but virtual ones only as a number.
func (m *Machine) Tree() []Branch {
	children := map[string][]*PCIDevice{}
	virtual := map[string]int{}
	for i := range m.PCI {
		d := &m.PCI[i]
		if d.Physfn != "" && len(d.NICs) == 0 {
			virtual[d.Physfn]++
			continue
		}
		key := d.Parent
		if m.pci(d.Parent) == nil {
			key = ""
		}
		children[key] = append(children[key], d)
	}
	var out []Branch
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		list := children[parent]
		slices.SortFunc(list, func(a, b *PCIDevice) int {
			return strings.Compare(a.HostBridge+a.Address, b.HostBridge+b.Address)
		})
		for _, d := range list {
			out = append(out, Branch{d, depth, virtual[d.Address]})
			if depth < maxPCIDepth {
				walk(d.Address, depth+1)
			}
		}
	}
	walk("", 0)
	return out
}

// What is a function in words: its class or NICs, and driver.
func (b Branch) What() string {
	s := b.Class
	if len(b.NICs) > 0 {
		s = strings.Join(b.NICs, ", ")
	}
	if b.Driver != "" && b.Class != "bridge" {
		s += " (" + b.Driver + ")"
	}
	if b.Virtual > 0 {
		s += fmt.Sprintf(", %s", plural(b.Virtual, "more virtual function"))
	}
	return s
}

// Carries is a function's link in words, with what it could be where that is more; "" if it
// has none.
func (b Branch) Carries() string {
	if b.Link == nil {
		return ""
	}
	s := fmt.Sprintf("%s, %s", b.Link, unit.BitRate(b.Link.Bits()))
	if b.Link.MaxBits() > b.Link.Bits() {
		s += fmt.Sprintf(" (this end could do %s)", b.Link.Max())
	}
	return s
}

func (p *printer) tree(m *Machine) {
	branches := m.Tree()
	if len(branches) == 0 {
		return
	}
	p.f("\nPCI\n")
	bridge := ""
	for _, b := range branches {
		if b.HostBridge != bridge {
			bridge = b.HostBridge
			p.f("  %s\n", bridge)
		}
		line := fmt.Sprintf("%s%s %s", strings.Repeat("  ", b.Depth+2), b.Address, b.What())
		if c := b.Carries(); c != "" {
			line += ", " + c
		}
		if b.Node >= 0 && len(m.Nodes) > 1 {
			line += fmt.Sprintf(", node %d", b.Node)
		}
		p.f("%s\n", line)
	}
}
