package topo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// headroom is the part of a PCI Express link's bits that is left for packets, next to
// headers and acknowledgements of its own: about 256 of 282 bytes at the usual payload.
const headroom = 0.9

// slowestPCI is what a conventional bus carries at 33 MHz and 32 bit, in bits per second.
const slowestPCI = 33_333_333 * 32

// hop is a PCI Express link: below the bridge Upper, which is a root port or a switch's downstream
// port.
type hop struct {
	Upper, Lower *PCIDevice
	NICs         []*NIC // ports that are up, all through this link
	Inner        *hop   // the next link towards the NICs; nil for theirs
}

// link is what the lower end tells, which is never nil.
func (h *hop) link() Link { return *h.Lower.Link }

// possible is what both ends can do.
func (h *hop) possible() Link {
	a, b := h.Lower.Link, h.Upper.Link
	if a.MaxGTs == 0 && b != nil {
		a = b
	}
	if b == nil || b.MaxGTs == 0 {
		b = a
	}
	l := Link{GTs: min(a.MaxGTs, b.MaxGTs), Width: min(a.MaxWidth, b.MaxWidth)}
	l.MaxGTs, l.MaxWidth = l.GTs, l.Width
	return l
}

// devices are the distinct devices (not ports) that share the hop.
func (h *hop) devices() []string {
	set := map[string]bool{}
	for _, n := range h.NICs {
		device, _, _ := strings.Cut(n.PCI, ".")
		set[device] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func (h *hop) need() (bits int64) {
	for _, n := range h.NICs {
		bits += n.Speed()
	}
	return bits
}

// hops finds the links between the NICs and the root. Bridges alternate: above a function
// there is its link, then inside a switch the way from a downstream to its upstream port, which is
// none, then the next link.
//
// Virtual functions are left out: they share the port and the link of their physical one.
func (m *Machine) hops() []*hop {
	found := map[string]*hop{}
	var order []*hop
	for i := range m.NICs {
		n := &m.NICs[i]
		e := m.pci(n.PCI)
		if e == nil || !n.Up() || n.Speed() == 0 || n.Kind != "pci" || nominal(n, e) {
			continue
		}
		var inner *hop
		for e != nil {
			p := m.pci(e.Parent)
			if p == nil || m.Virtualised && inner != nil {
				break // what a hypervisor shows above a NIC that it passes through is invented
			}
			if e.Link == nil {
				e = p // a conventional bus; the bridge above may have a link of its own
				continue
			}
			h := found[p.Address]
			if h == nil {
				h = &hop{Upper: p, Lower: e, Inner: inner}
				found[p.Address] = h
				order = append(order, h)
			}
			h.NICs = append(h.NICs, n)
			inner, e = h, m.pci(p.Parent)
		}
	}
	return order
}

// nominal reports whether the link that a NIC's function tells can't be the one by which
// its packets come, for it could never carry a single port: so do functions that are part of the chip set.
func nominal(n *NIC, e *PCIDevice) bool {
	return e.Link != nil && e.Link.MaxGTs > 0 && e.Link.MaxBits() < float64(n.Speed())
}

func (m *Machine) judgeLinks() {
	for _, h := range m.hops() {
		if h.Inner != nil && len(h.Inner.NICs) == len(h.NICs) {
			if h.link().Bits() >= h.Inner.link().Bits() {
				continue // adds nothing to what is said of the inner one
			}
		}
		m.judgeHop(h)
	}
}

func (m *Machine) judgeHop(h *hop) {
	l := h.link()
	can := h.possible()
	need := float64(h.need())
	names := nicNames(h.NICs)
	j := Judgement{Code: "link-narrow", Severity: Problem, NICs: names, PCI: []string{h.Upper.Address, h.Lower.Address}, Evidence: linkEvidence(h), CapacityBits: l.Bits()}
	who := listing(names)
	where := fmt.Sprintf("the PCI Express link between %s and %s", h.Upper.Address, h.Lower.Address)
	rate := fmt.Sprintf("%s, %s each way", l, unit.BitRate(l.Bits()))
	shared := len(h.devices()) > 1
	if shared {
		j.Code = "link-shared"
		who += " share"
		j.Evidence = append(j.Evidence, m.others(h)...)
	} else if len(names) > 1 {
		who += " have"
	} else {
		who += " has"
	}
	switch {
	case need > l.Bits():
		j.Text = fmt.Sprintf("%s %s (%s), for %s of Ethernet: it carries %s of that at most", who, where, rate, unit.BitRate(need), unit.Percent(l.Bits()/need))
	case need > headroom*l.Bits():
		j.Severity = Note
		j.Text = fmt.Sprintf("%s %s (%s), for %s of Ethernet: it leaves %s for its own headers, which take about 10 %%", who, where, rate, unit.BitRate(need), unit.Percent(1-need/l.Bits()))
	case shared:
		j.Severity = Note
		j.Text = fmt.Sprintf("%s %s (%s), which is enough for their %s of Ethernet", who, where, rate, unit.BitRate(need))
	case can.Bits() > l.Bits():
		j.Code, j.Severity = "link-trained-down", Note
		j.Text = fmt.Sprintf("%s %s at %s, less than the %s that both ends can do, and enough for %s of Ethernet", who, where, l, can, unit.BitRate(need))
	default:
		return
	}
	j.Mend = mendLink(h, l, can, need, shared)
	m.add(j)
}

// mendLink says what would widen a link.
func mendLink(h *hop, l, can Link, need float64, shared bool) string {
	switch {
	case can.Bits() > l.Bits():
		return fmt.Sprintf("both ends can do %s: look for a loose card or riser, a cable of too few lanes, or the slot's setting in the firmware", can)
	case h.Lower.Link.MaxBits() > l.Bits() && need > headroom*l.Bits():
		return fmt.Sprintf("the card can do %s, the slot at %s only %s: move it to a wider slot", h.Lower.Link.Max(), h.Upper.Address, l)
	case shared && need > headroom*l.Bits():
		return "move one of them to a slot under another root port (see the PCI tree)"
	case need > headroom*l.Bits():
		return "the card's own link is the limit: use fewer of its ports, or a card with a wider link"
	}
	return ""
}

func nicNames(nics []*NIC) []string {
	var names []string
	for _, n := range nics {
		names = append(names, n.Name)
	}
	return names
}

func linkEvidence(h *hop) []Evidence {
	l, end := h.link(), h.Lower
	ev := []Evidence{
		{"link of " + end.Address, l.String(), "current_link_speed and current_link_width of " + end.Address},
		{"what it carries each way", unit.BitRate(l.Bits()), "lanes times rate, less the encoding"},
	}
	for _, e := range []*PCIDevice{h.Lower, h.Upper} {
		if e.Link != nil && e.Link.MaxGTs > 0 {
			ev = append(ev, Evidence{"possible at " + e.Address, e.Link.Max(), "max_link_speed and max_link_width of " + e.Address})
		}
	}
	for _, n := range h.NICs {
		from := "sys/class/net/" + n.Name + "/speed"
		if n.SpeedBits == 0 {
			from = "ethtool, fastest supported mode"
		}
		ev = append(ev, Evidence{"speed of " + n.Name, unit.BitRate(float64(n.Speed())), from})
	}
	return ev
}

// others counts what is not a NIC behind a shared link.
func (m *Machine) others(h *hop) []Evidence {
	count := map[string]int{}
	for i := range m.PCI {
		d := &m.PCI[i]
		if d.Class == "bridge" || len(d.NICs) > 0 || d.Physfn != "" {
			continue
		}
		for up, depth := d, 0; up != nil && depth < maxPCIDepth; up, depth = m.pci(up.Parent), depth+1 {
			if up.Parent == h.Upper.Address {
				count[d.Class]++
			}
		}
	}
	var ev []Evidence
	for _, class := range slices.Sorted(maps.Keys(count)) {
		ev = append(ev, Evidence{"also behind " + h.Upper.Address, fmt.Sprintf("%d %s", count[class], class), "the PCI tree"})
	}
	return ev
}

// judgeBuses finds NICs on one conventional PCI bus. A virtual machine shows such a bus but
// has none; NICs of more than 1 Gb/s, and several functions of one device, are rather parts of
// a chip set.
func (m *Machine) judgeBuses() {
	if m.Virtualised {
		return
	}
	on := map[string][]*NIC{}
	for i := range m.NICs {
		n := &m.NICs[i]
		if e := m.pci(n.PCI); e != nil && n.Kind == "pci" && n.Up() && n.Speed() <= 1e9 && e.Link == nil && e.Parent != "" {
			on[e.Parent] = append(on[e.Parent], n)
		}
	}
	for _, bridge := range slices.Sorted(maps.Keys(on)) {
		nics := on[bridge]
		if len((&hop{NICs: nics}).devices()) < 2 {
			continue
		}
		j := Judgement{
			Code: "bus-shared", Severity: Problem, NICs: nicNames(nics),
			Text:         fmt.Sprintf("%s share the conventional PCI bus below %s: one of them transfers at a time, both ways together", listing(nicNames(nics)), bridge),
			Mend:         "move one of them to another bus, or take PCI Express cards",
			CapacityBits: slowestPCI,
		}
		for _, n := range nics {
			j.Evidence = append(j.Evidence, Evidence{"bus of " + n.Name, "below " + bridge + ", no PCI Express link", "the PCI tree"})
		}
		j.Evidence = append(j.Evidence, Evidence{"what such a bus carries", "1.06 Gb/s at 33 MHz and 32 bit, 8.5 Gb/s as PCI-X at 133 MHz and 64 bit", "PCI Local Bus and PCI-X specifications; sysfs doesn't tell the clock"})
		m.add(j)
	}
}
