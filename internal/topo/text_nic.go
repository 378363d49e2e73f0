package topo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/unit"
)

func (p *printer) nic(n *NIC, queues bool) {
	p.f("\n%s\n", n.Heading())
	p.row("", n.Nature)
	for _, l := range n.Lines() {
		p.row(l[0], l[1])
	}
	if queues {
		for _, q := range n.Queues {
			p.f("    %s\n", q.line())
		}
		for _, q := range n.Interrupts {
			p.f("    %s\n", q.line())
		}
	}
}

// Heading is a NIC in a line.
func (n *NIC) Heading() string {
	parts := []string{n.Name + ": " + n.Kind}
	if n.Driver != "" && n.Driver != n.Kind {
		parts[0] += ", " + n.Driver
	}
	parts = append(parts, n.OperState)
	switch {
	case n.SpeedBits > 0:
		parts = append(parts, unit.BitRate(float64(n.SpeedBits)))
	case n.SpeedMaxBits > 0:
		parts = append(parts, "up to "+unit.BitRate(float64(n.SpeedMaxBits)))
	}
	parts = append(parts, fmt.Sprintf("MTU %d", n.MTU))
	if n.PCI != "" {
		parts = append(parts, n.PCI)
	}
	if n.Node >= 0 {
		parts = append(parts, fmt.Sprintf("node %d", n.Node))
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// Lines tell what a NIC is set to: labels and values.
func (n *NIC) Lines() [][2]string {
	var out [][2]string
	add := func(label, format string, args ...any) {
		out = append(out, [2]string{label, fmt.Sprintf(format, args...)})
	}
	if len(n.Upper) > 0 {
		add("below", "%s", strings.Join(n.Upper, ", "))
	}
	if len(n.Lower) > 0 {
		add("above", "%s", strings.Join(n.Lower, ", "))
	}
	add("queues", "%s", n.queueLine())
	if len(n.Interrupts) > 0 {
		add("interrupts", "%s", n.irqLine())
	}
	if n.RSS != nil {
		least, most := n.RSS.Entries, 0
		for _, k := range n.RSS.Queues {
			least, most = min(least, k), max(most, k)
		}
		each := fmt.Sprint(least)
		if most > least {
			each += fmt.Sprintf(" to %d", most)
		}
		add("RSS", "%s over %s, %s each", plural(n.RSS.Entries, "entry"), plural(len(n.RSS.Queues), "queue"), each)
	}
	add("steering", "%s", n.steering())
	if r := n.Rings; r != nil {
		add("rings", "rx %d of %d, tx %d of %d", r.Rx, r.RxMax, r.Tx, r.TxMax)
	}
	if c := n.Coalescing; c != nil {
		add("coalescing", "rx %s, tx %s", coalescing(c.AdaptiveRx, c.RxUsecs, c.RxFrames), coalescing(c.AdaptiveTx, c.TxUsecs, c.TxFrames))
	}
	if n.GROFlush > 0 || n.DeferIRQs > 0 {
		add("deferral", "%s, GRO held up to %s", plural(int(n.DeferIRQs), "empty poll"), unit.Seconds(float64(n.GROFlush)/1e9))
	}
	if on, off := n.offloads(); on != "" {
		add("offloads", "%s", on)
		if off != "" {
			add("  off", "%s", off)
		}
	}
	return out
}

func coalescing(adaptive bool, usecs, frames uint32) string {
	s := fmt.Sprintf("%d us or %s", usecs, plural(int(frames), "frame"))
	if adaptive {
		s = "adaptive, now " + s
	}
	return s
}

func (n *NIC) queueLine() string {
	s := fmt.Sprintf("%d rx, %d tx", len(n.Rx()), len(n.Tx()))
	if c := n.Channels; c != nil {
		switch {
		case c.CombinedMax > 0:
			s += fmt.Sprintf("; %d of %d combined", c.Combined, c.CombinedMax)
		case c.RxMax > 0:
			s += fmt.Sprintf("; rx %d of %d", c.Rx, c.RxMax)
		}
	}
	if len(n.NAPIs) > 0 {
		first, last := n.NAPIs[0].ID, n.NAPIs[len(n.NAPIs)-1].ID
		s += fmt.Sprintf("; NAPI %d", first)
		if last > first {
			s += fmt.Sprintf(" to %d", last)
		}
	}
	if n.Threaded {
		s += ", threaded"
		var cpus host.CPUList
		for _, x := range n.NAPIs {
			cpus = append(cpus, x.CPUs...)
		}
		if len(cpus) > 0 {
			s += " on CPU " + host.CPUs(cpus...).String()
		}
	}
	return s
}

func (n *NIC) irqLine() string {
	var packets, control []IRQ
	var cpus, controlCPUs host.CPUList
	for _, q := range n.Interrupts {
		if q.Control {
			control, controlCPUs = append(control, q), append(controlCPUs, q.CPUs()...)
		} else {
			packets, cpus = append(packets, q), append(cpus, q.CPUs()...)
		}
	}
	s := fmt.Sprintf("%d for queues (%v)", len(packets), numbers(packets))
	if len(cpus) > 0 {
		s += fmt.Sprintf(" on CPU %v", host.CPUs(cpus...))
	}
	if len(control) > 0 {
		s += fmt.Sprintf("; %d for control on CPU %v", len(control), host.CPUs(controlCPUs...))
	}
	return s
}

// steering tells RPS, RFS and XPS.
func (n *NIC) steering() string {
	s := "RPS off"
	if rps := n.rps(); len(rps) > 0 {
		s = "RPS to CPU " + rps.String()
	}
	flows, xps, xpsRx := int64(0), 0, 0
	for _, q := range n.Queues {
		flows += q.RPSFlows
		if len(q.XPS) > 0 {
			xps++
		}
		if len(q.XPSRx) > 0 {
			xpsRx++
		}
	}
	if flows > 0 {
		s += fmt.Sprintf(", RFS %d flows", flows)
	} else {
		s += ", RFS off"
	}
	switch {
	case xpsRx > 0:
		return s + fmt.Sprintf(", XPS by receive queue on %s", plural(xpsRx, "queue"))
	case xps > 0:
		return s + fmt.Sprintf(", XPS by CPU on %s", plural(xps, "queue"))
	}
	return s + ", XPS not set"
}

// offloadNames are the offloads that the text tells, by what people call them.
var offloadNames = []struct{ short, feature string }{
	{"GRO", "rx-gro"},
	{"GSO", "tx-generic-segmentation"},
	{"TSO", "tx-tcp-segmentation"},
	{"TSO6", "tx-tcp6-segmentation"},
	{"USO", "tx-udp-segmentation"},
	{"LRO", "rx-lro"},
	{"GRO-HW", "rx-gro-hw"},
	{"rx-checksum", "rx-checksum"},
	{"scatter-gather", "tx-scatter-gather"},
	{"rx-hashing", "rx-hashing"},
	{"ntuple", "rx-ntuple-filter"},
	{"TLS-tx", "tls-hw-tx-offload"},
}

func (n *NIC) offloads() (on, off string) {
	var a, b []string
	for _, o := range offloadNames {
		if state, ok := n.Offloads[o.feature]; ok && state {
			a = append(a, o.short)
		} else if ok {
			b = append(b, o.short)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(n.Offloads)) {
		if strings.HasPrefix(f, "tx-checksum") && n.Offloads[f] {
			a = append(a, f)
		}
	}
	return strings.Join(a, " "), strings.Join(b, " ")
}

func (q Queue) line() string {
	s := fmt.Sprintf("%s-%d", q.Type, q.ID)
	if q.NAPI > 0 {
		s += fmt.Sprintf(", NAPI %d", q.NAPI)
	}
	if q.IRQ > 0 {
		s += fmt.Sprintf(", interrupt %d", q.IRQ)
	}
	for _, l := range []struct {
		what string
		cpus host.CPUList
	}{{"RPS to CPU", q.RPS}, {"XPS from CPU", q.XPS}, {"XPS from rx queue", q.XPSRx}} {
		if len(l.cpus) > 0 {
			s += fmt.Sprintf(", %s %v", l.what, l.cpus)
		}
	}
	if q.RPSFlows > 0 {
		s += fmt.Sprintf(", RFS %d flows", q.RPSFlows)
	}
	return s
}

func (q IRQ) line() string {
	s := fmt.Sprintf("interrupt %d %s, may go to CPU %v", q.IRQ, q.Name, q.Affinity)
	if len(q.Effective) > 0 {
		s += fmt.Sprintf(", goes to %v", q.Effective)
	}
	s += fmt.Sprintf(", %d taken", q.Count)
	if q.Busiest >= 0 {
		s += fmt.Sprintf(", most on CPU %d", q.Busiest)
	}
	return s
}
