package topo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// judge finds what stands in the way.
func (m *Machine) judge() {
	m.judgeLinks()
	m.judgeBuses()
	m.judgeNodes()
	m.judgeSharedCPUs()
	for i := range m.NICs {
		n := &m.NICs[i]
		if n.queued() {
			m.judgeQueues(n)
			m.judgeTable(n)
			m.judgeRPS(n)
		}
		m.judgeRFS(n)
	}
	slices.SortStableFunc(m.Judgements, func(a, b Judgement) int {
		return strings.Compare(b.Severity, a.Severity) // "problem" before "note"
	})
}

func (m *Machine) add(j Judgement) { m.Judgements = append(m.Judgements, j) }

// online are the CPUs that are.
func (m *Machine) online() host.CPUList {
	l := make(host.CPUList, 0, len(m.CPUs))
	for _, c := range m.CPUs {
		l = append(l, c.CPU)
	}
	return host.CPUs(l...)
}

// nodeOf is a CPU's node; -1: not known.
func (m *Machine) nodeOf(cpu int) int {
	i, ok := slices.BinarySearchFunc(m.CPUs, cpu, func(c CPU, n int) int { return c.CPU - n })
	if !ok {
		return -1
	}
	return m.CPUs[i].Node
}

// near are the CPUs of a NIC's node that are online; all where the node isn't known or
// has none.
func (m *Machine) near(n *NIC) host.CPUList {
	var l host.CPUList
	for _, c := range m.CPUs {
		if c.Node == n.Node {
			l = append(l, c.CPU)
		}
	}
	if n.Node < 0 || len(l) == 0 {
		return m.online()
	}
	return host.CPUs(l...)
}

// nearCores are how many cores those are.
func (m *Machine) nearCores(n *NIC) int {
	near, cores := m.near(n), map[string]bool{}
	for _, c := range m.CPUs {
		if near.Has(c.CPU) {
			cores[fmt.Sprint(c.Package, c.Core, c.Siblings)] = true
		}
	}
	return len(cores)
}

// populated counts the nodes with CPUs.
func (m *Machine) populated() int {
	k := 0
	for _, n := range m.Nodes {
		if len(n.CPUs) > 0 {
			k++
		}
	}
	return k
}

// packetIRQs are the interrupts by which a NIC's packets come. If any was ever taken, those
// that never were are left out: they have no load to place.
func (n *NIC) packetIRQs() []IRQ {
	var all, taken []IRQ
	for _, q := range n.Interrupts {
		if q.Control {
			continue
		}
		all = append(all, q)
		if q.Count > 0 {
			taken = append(taken, q)
		}
	}
	if taken != nil {
		return taken
	}
	return all
}

// irqEvidence tells where a NIC's interrupts are taken.
func irqEvidence(n *NIC, irqs []IRQ) Evidence {
	var each []string
	sources := map[string]bool{}
	for _, q := range irqs {
		each = append(each, fmt.Sprintf("%d on %v", q.IRQ, q.CPUs()))
		sources[q.source()] = true
	}
	return Evidence{
		"CPUs of interrupts of " + n.Name, strings.Join(each, ", "),
		strings.Join(slices.Sorted(maps.Keys(sources)), "; "),
	}
}

// source is where CPUs was read.
func (q IRQ) source() string {
	switch {
	case len(q.Effective) > 0:
		return "proc/irq/N/effective_affinity_list"
	case q.Busiest >= 0:
		return "proc/interrupts: the CPU that took most"
	}
	return "proc/irq/N/smp_affinity_list: the first"
}

// numbers are the interrupts as a list.
func numbers(irqs []IRQ) host.CPUList {
	var l []int
	for _, q := range irqs {
		l = append(l, q.IRQ)
	}
	return host.CPUs(l...)
}

// plural is "1 queue", "2 queues".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		what = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// listing is "a", "a and b", "a, b and c".
func listing(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
