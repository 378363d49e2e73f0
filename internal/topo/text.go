package topo

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// WriteText tells a machine to people. With queues each queue and interrupt has a line.
func (m *Machine) WriteText(w io.Writer, queues bool) error {
	p := &printer{w: w}
	p.machine(m)
	p.cpus(m)
	p.tree(m)
	for i := range m.NICs {
		p.nic(&m.NICs[i], queues)
	}
	p.judgements(m)
	if len(m.Warnings) > 0 {
		p.f("\nNot understood\n")
		for _, x := range m.Warnings {
			p.f("  %s: %s\n", x.Path, x.Text)
		}
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// row is a labelled line of a NIC; nothing is told of an empty value.
func (p *printer) row(label, value string) {
	if value != "" {
		p.f("  %-12s%s\n", label, value)
	}
}

// Title is the machine in a line.
func (m *Machine) Title() string {
	parts := []string{m.CPUModel}
	if m.CPUModel == "" {
		parts = nil
	}
	packages, cores := map[int]bool{}, map[string]bool{}
	for _, c := range m.CPUs {
		packages[c.Package] = true
		cores[fmt.Sprint(c.Package, c.Core, c.Siblings)] = true
	}
	parts = append(parts, plural(len(packages), "package"), plural(len(cores), "core"), plural(len(m.CPUs), "CPU"))
	if len(m.Nodes) > 1 {
		parts = append(parts, plural(len(m.Nodes), "NUMA node"))
	}
	return strings.Join(parts, ", ")
}

func (p *printer) machine(m *Machine) {
	p.f("%s\n", m.Title())
	var facts []string
	if m.Product != "" {
		facts = append(facts, m.Product)
	}
	if m.Virtualised {
		facts = append(facts, "a virtual machine")
	}
	if m.Kernel != "" {
		facts = append(facts, "Linux "+m.Kernel)
	}
	if m.Captured {
		facts = append(facts, "from a captured tree")
	}
	p.f("%s\n", strings.Join(facts, ", "))
	if m.Note != "" {
		p.f("%s\n", m.Note)
	}
}

func (p *printer) cpus(m *Machine) {
	p.f("\nCPUs\n")
	if len(m.Nodes) == 0 {
		p.f("  %v\n", m.online())
	}
	for _, n := range m.Nodes {
		line := fmt.Sprintf("node %d: CPU %v", n.Node, n.CPUs)
		if len(n.CPUs) == 0 {
			line = fmt.Sprintf("node %d: no CPU", n.Node)
		}
		if pk := m.packagesOf(n.CPUs); pk != "" {
			line += ", " + pk
		}
		if n.MemoryBytes > 0 {
			line += fmt.Sprintf(", %.1f GiB", float64(n.MemoryBytes)/(1<<30))
		}
		if len(n.Distances) > 1 {
			line += ", distances " + strings.Trim(fmt.Sprint(n.Distances), "[]")
		}
		p.f("  %s\n", line)
	}
	if len(m.CPUsOffline) > 0 {
		p.f("  offline: CPU %v\n", m.CPUsOffline)
	}
	for _, s := range m.cacheLines() {
		p.f("  %s\n", s)
	}
}

// packagesOf names the packages of some CPUs.
func (m *Machine) packagesOf(cpus host.CPUList) string {
	var ids []int
	for _, c := range m.CPUs {
		if cpus.Has(c.CPU) && c.Package >= 0 {
			ids = append(ids, c.Package)
		}
	}
	switch l := host.CPUs(ids...); len(l) {
	case 0:
		return ""
	case 1:
		return "package " + l.String()
	default:
		return "packages " + l.String()
	}
}

// cacheLines tells the caches of each level, those of the last level with who shares
// them.
func (m *Machine) cacheLines() []string {
	last := 0
	for _, c := range m.Caches {
		last = max(last, c.Level)
	}
	var lines []string
	var order []string
	count := map[string]int{}
	sharing := map[string][]string{}
	for _, c := range m.Caches {
		size := "size not told"
		if c.SizeBytes > 0 {
			size = unit.Size(c.SizeBytes)
		}
		typ := map[string]string{"Data": "d", "Instruction": "i"}[c.Type]
		key := fmt.Sprintf("L%d%s %s", c.Level, typ, size)
		if count[key]++; count[key] == 1 {
			order = append(order, key)
		}
		if c.Level == last {
			sharing[key] = append(sharing[key], c.CPUs.String())
		}
	}
	for _, key := range order {
		s := fmt.Sprintf("%s: %d of them", key, count[key])
		if by := sharing[key]; by != nil {
			s += ", for CPUs " + strings.Join(shortened(by, 8), " | ")
		}
		lines = append(lines, s)
	}
	return lines
}

// shortened keeps the ends of a long list.
func shortened(l []string, most int) []string {
	if len(l) <= most {
		return l
	}
	return slices.Concat(l[:most-1], []string{"..."}, l[len(l)-1:])
}

func (p *printer) judgements(m *Machine) {
	p.f("\nJudgements\n")
	if len(m.Judgements) == 0 {
		p.f("  none: nothing in how it is arranged stands in the way\n")
	}
	for _, j := range m.Judgements {
		p.f("  %s %s: %s.\n", map[string]string{Problem: "!"}[j.Severity]+map[string]string{Note: "-"}[j.Severity], j.Code, j.Text)
		if j.Mend != "" {
			p.f("      mend: %s\n", j.Mend)
		}
		for i, e := range j.Evidence {
			if i == maxEvidence && len(j.Evidence) > maxEvidence+1 {
				p.f("      and %d figures more: --json has them\n", len(j.Evidence)-i)
				break
			}
			p.f("      %s: %s (%s)\n", e.What, e.Value, e.From)
		}
	}
}

// maxEvidence is how many figures of a judgement the text shows.
const maxEvidence = 8
