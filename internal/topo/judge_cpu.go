package topo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// judgeNodes finds interrupts that are taken on another node than their NIC's.
func (m *Machine) judgeNodes() {
	if m.populated() < 2 {
		return
	}
	for i := range m.NICs {
		n := &m.NICs[i]
		if !n.Up() || !n.queued() || n.Node < 0 && !n.Physical() {
			continue
		}
		if n.Node < 0 {
			m.add(Judgement{
				Code: "node-unknown", Severity: Note, NICs: []string{n.Name},
				Text:     fmt.Sprintf("the firmware doesn't tell the NUMA node of %s, so its interrupts can't be placed near it", n.Name),
				Mend:     "look for a newer firmware; the machine's manual tells which slots belong to which package",
				Evidence: []Evidence{{"node of " + n.PCI, "-1", "numa_node of " + n.PCI}, {"nodes with CPUs", fmt.Sprint(m.populated()), nodeDir}},
			})
			continue
		}
		m.judgeFar(n)
	}
}

func (m *Machine) judgeFar(n *NIC) {
	irqs := n.packetIRQs()
	var far []IRQ
	var cpus []int
	nodes := map[int]bool{}
	for _, q := range irqs {
		away := false
		for _, c := range q.CPUs() {
			if node := m.nodeOf(c); node >= 0 && node != n.Node {
				away, nodes[node] = true, true
				cpus = append(cpus, c)
			}
		}
		if away {
			far = append(far, q)
		}
	}
	if len(far) == 0 {
		return
	}
	var where []string
	ev := []Evidence{{"node of " + n.Name, fmt.Sprint(n.Node), "numa_node of " + n.PCI}}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		name := fmt.Sprintf("node %d", node)
		where = append(where, name)
		if d, own := m.distance(n.Node, node), m.distance(n.Node, n.Node); d > 0 {
			ev = append(ev, Evidence{fmt.Sprintf("distance from node %d to %d", n.Node, node), fmt.Sprintf("%d, to itself %d", d, own), fmt.Sprintf("%s/node%d/distance", nodeDir, n.Node)})
		}
	}
	m.add(Judgement{
		Code: "irq-far-node", Severity: Problem, NICs: []string{n.Name},
		Text: fmt.Sprintf("%d of %s of %s, which is on node %d, are taken on %s, by CPU %v: each packet's memory crosses between the nodes",
			len(far), plural(len(irqs), "queue interrupt"), n.Name, n.Node, listing(where), host.CPUs(cpus...)),
		Mend:     fmt.Sprintf("write CPUs out of %v to /proc/irq/N/smp_affinity_list, N being %v; irqbalance must be told or stopped", m.near(n), numbers(far)),
		Evidence: append(ev, irqEvidence(n, far)),
	})
}

// distance between nodes as the firmware rates it; 0: not told.
func (m *Machine) distance(from, to int) int64 {
	i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.Node == from })
	j := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.Node == to })
	if i < 0 || j < 0 || j >= len(m.Nodes[i].Distances) {
		return 0
	}
	return m.Nodes[i].Distances[j]
}

// judgeSharedCPUs finds CPUs that take the queue interrupts of several NICs.
func (m *Machine) judgeSharedCPUs() {
	type load struct {
		nics []*NIC
		irqs map[string][]IRQ
	}
	on := map[int]*load{}
	whose := map[int]string{} // ports of one function may share its interrupts
	for i := range m.NICs {
		n := &m.NICs[i]
		if !n.Up() {
			continue
		}
		for _, q := range n.packetIRQs() {
			if first, ok := whose[q.IRQ]; ok && first != n.Name {
				continue
			}
			whose[q.IRQ] = n.Name
			for _, c := range q.CPUs() {
				l := on[c]
				if l == nil {
					l = &load{irqs: map[string][]IRQ{}}
					on[c] = l
				}
				if !slices.Contains(l.nics, n) {
					l.nics = append(l.nics, n)
				}
				l.irqs[n.Name] = append(l.irqs[n.Name], q)
			}
		}
	}
	// CPUs that the same NICs share are one finding.
	groups := map[string]host.CPUList{}
	for c, l := range on {
		if len(l.nics) > 1 {
			key := strings.Join(nicNames(l.nics), " ")
			groups[key] = host.CPUs(append(groups[key], c)...)
		}
	}
	var shared host.CPUList
	for _, cpus := range groups {
		shared = append(shared, cpus...)
	}
	if len(groups) > maxGroups {
		groups = map[string]host.CPUList{"": host.CPUs(shared...)}
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		cpus := groups[key]
		var nics []*NIC
		irqs := map[string][]IRQ{}
		for _, c := range cpus {
			for _, n := range on[c].nics {
				if !slices.Contains(nics, n) {
					nics = append(nics, n)
				}
				irqs[n.Name] = append(irqs[n.Name], on[c].irqs[n.Name]...)
			}
		}
		slices.SortFunc(nics, func(a, b *NIC) int { return a.Index - b.Index })
		var ev []Evidence
		var near, free host.CPUList
		for _, n := range nics {
			own := irqs[n.Name]
			slices.SortFunc(own, func(a, b IRQ) int { return a.IRQ - b.IRQ })
			own = slices.CompactFunc(own, func(a, b IRQ) bool { return a.IRQ == b.IRQ })
			ev = append(ev, irqEvidence(n, own))
			near = host.CPUs(append(near, m.near(n)...)...)
		}
		for _, c := range near {
			if on[c] == nil {
				free = append(free, c)
			}
		}
		j := Judgement{
			Code: "irq-shared-cpu", Severity: Problem, NICs: nicNames(nics), Evidence: ev,
			Text: fmt.Sprintf("queue interrupts of %s meet on CPU %v; near them none is taken by CPU %v", listing(nicNames(nics)), cpus, free),
			Mend: "give each NIC CPUs of its own through /proc/irq/N/smp_affinity_list; irqbalance must be told or stopped",
		}
		switch {
		case len(free) == 0:
			j.Severity = Note
			j.Text = fmt.Sprintf("queue interrupts of %s meet on CPU %v; all CPUs near them take some", listing(nicNames(nics)), cpus)
			j.Mend = "fewer queues for each NIC (ethtool -L, or where the driver has no such request its own configuration) would let each have CPUs of its own"
		case len(free) < len(cpus) || 2*len(free) < len(shared): // no room to part them
			j.Severity = Note
		}
		m.add(j)
	}
}

// maxGroups is how many sets of NICs that meet are told apart; more are told as one.
const maxGroups = 4
