package topo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// judgeQueues holds the number of a NIC's queues against that of the CPUs.
func (m *Machine) judgeQueues(n *NIC) {
	rx, cpus := len(n.Rx()), len(m.CPUs)
	if !n.Up() || rx == 0 {
		return
	}
	ev := []Evidence{
		{"receive queues of " + n.Name, fmt.Sprint(rx), "sys/class/net/" + n.Name + "/queues"},
		{"CPUs online", fmt.Sprint(cpus), cpuDir + "/online"},
	}
	can := 0
	if c := n.Channels; c != nil {
		can = int(max(c.CombinedMax, c.RxMax))
		ev = append(ev, Evidence{"receive queues that " + n.Name + " can have", fmt.Sprint(can), "ethtool -l"})
	}
	near, cores := len(m.near(n)), m.nearCores(n)
	ev = append(ev, Evidence{"cores near " + n.Name, fmt.Sprint(cores), cpuDir + "/cpu*/topology"})
	switch {
	case rx > cpus:
		m.add(Judgement{
			Code: "queues-over-cpus", Severity: Problem, NICs: []string{n.Name}, Evidence: ev,
			Text: fmt.Sprintf("%s has %s for %s: queues beyond one a CPU spread its packets over more interrupts and caches, and over no more CPUs", n.Name, plural(rx, "receive queue"), plural(cpus, "CPU")),
			Mend: n.setQueues(near),
		})
	case rx == 1 && cpus > 1 && len(n.rps()) == 0:
		j := Judgement{
			Code: "one-queue", Severity: Note, NICs: []string{n.Name}, Evidence: ev,
			Text: fmt.Sprintf("all packets of %s come by one receive queue, so one CPU does its softirq work%s", n.Name, takenBy(n)),
			Mend: fmt.Sprintf("where that CPU is the limit: RPS, as echo %s > /sys/class/net/%s/queues/rx-0/rps_cpus", m.near(n).Mask(), n.Name),
		}
		if can > 1 {
			j.Mend = n.setQueues(min(can, near))
		}
		m.add(j)
	case can > rx && rx < cores:
		m.add(Judgement{
			Code: "few-queues", Severity: Note, NICs: []string{n.Name}, Evidence: ev,
			Text: fmt.Sprintf("%s uses %s and could have %d; %s are near it", n.Name, plural(rx, "receive queue"), can, plural(cores, "core")),
			Mend: "where its CPUs are the limit: " + n.setQueues(min(can, cores)),
		})
	}
}

// setQueues says how the NIC gets k receive queues.
func (n *NIC) setQueues(k int) string {
	switch c := n.Channels; {
	case n.Driver == "vmxnet3":
		return fmt.Sprintf("%s for %s, set in the driver's parameters or the virtual machine's configuration", plural(k, "queue"), n.Name)
	case c != nil && c.CombinedMax == 0 && c.RxMax > 0:
		return fmt.Sprintf("ethtool -L %s rx %d", n.Name, k)
	}
	return fmt.Sprintf("ethtool -L %s combined %d", n.Name, k)
}

// takenBy names the CPU that takes a NIC's packets, if there is one.
func takenBy(n *NIC) string {
	var cpus host.CPUList
	for _, q := range n.packetIRQs() {
		cpus = host.CPUs(append(cpus, q.CPUs()...)...)
	}
	if len(cpus) != 1 {
		return ""
	}
	return fmt.Sprintf(", CPU %v", cpus)
}

// rps are the CPUs that any of its receive queues hands packets to.
func (n *NIC) rps() host.CPUList {
	var l host.CPUList
	for _, q := range n.Rx() {
		l = append(l, q.RPS...)
	}
	return host.CPUs(l...)
}

// reached are the CPUs that take the interrupts of the receive queues to which RSS leads; none where it is not told
// whose the interrupts are and they differ.
func (n *NIC) reached() host.CPUList {
	only := map[int]bool{}
	for _, q := range n.Rx() {
		if n.RSS != nil && n.RSS.Queues[q.ID] > 0 && q.IRQ > 0 {
			only[q.IRQ] = true
		}
	}
	var l host.CPUList
	for _, q := range n.Interrupts {
		if !q.Control && (len(only) == 0 || only[q.IRQ]) {
			l = append(l, q.CPUs()...)
		}
	}
	if l = host.CPUs(l...); n.RSS != nil && len(only) == 0 && len(l) > 1 {
		return nil
	}
	return l
}

// judgeRPS finds RPS on top of RSS (Documentation/networking/scaling.rst: 'probably
// redundant and unnecessary' where there is a queue for each CPU): a problem only where RSS is known to reach
// all CPUs that RPS does.
func (m *Machine) judgeRPS(n *NIC) {
	rps, rx := n.rps(), len(n.Rx())
	if len(rps) == 0 || rx < 2 {
		return
	}
	var each []string
	for _, q := range n.Rx() {
		if len(q.RPS) > 0 {
			each = append(each, fmt.Sprintf("rx-%d to %v", q.ID, q.RPS))
		}
	}
	with, reached := len(each), n.reached()
	j := Judgement{
		Code: "rps-over-rss", Severity: Note, NICs: []string{n.Name},
		Evidence: []Evidence{{"RPS of " + n.Name, strings.Join(each, ", "), "sys/class/net/" + n.Name + "/queues/rx-*/rps_cpus"}},
		Mend:     "measure with and without it; more queues in use, with interrupts on other CPUs, cost less than RPS",
	}
	how := fmt.Sprintf("%s has %s", n.Name, plural(rx, "receive queue"))
	if n.RSS != nil {
		how = fmt.Sprintf("%s spreads packets over %s by RSS", n.Name, plural(len(n.RSS.Queues), "queue"))
		j.Evidence = append(j.Evidence, Evidence{"RSS of " + n.Name, fmt.Sprintf("%d entries over %s", n.RSS.Entries, plural(len(n.RSS.Queues), "queue")), "ethtool -x"})
	}
	how += fmt.Sprintf(", and RPS hands those of %s on to CPU %v", plural(with, "queue"), rps)
	if len(reached) > 0 {
		j.Evidence = append(j.Evidence, Evidence{"CPUs that take its packets' interrupts", reached.String(), "effective affinity, or where they came"})
	}
	switch {
	case n.RSS != nil && len(reached) > 0 && len(rps.Without(reached)) == 0:
		j.Severity = Problem
		j.Text = how + ": a second interrupt for each batch of packets, to reach CPUs that RSS reaches already"
		j.Mend = fmt.Sprintf("turn RPS off: for q in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo 0 > $q; done", n.Name)
	case len(reached) > 0:
		j.Text = fmt.Sprintf("%s: that helps only where the CPUs that take its interrupts (%v) are too few", how, reached)
	default:
		j.Text = how + ": that helps only where the CPUs that take its interrupts, which are not told, are too few"
	}
	if far := rps.Without(m.near(n)); j.Severity == Note && len(far) > 0 {
		j.Text += fmt.Sprintf("; CPU %v of them are on another node than the NIC", far)
	}
	m.add(j)
}

// judgeRFS finds RFS of which only one of its two tables is set.
func (m *Machine) judgeRFS(n *NIC) {
	flows := int64(0)
	for _, q := range n.Rx() {
		flows += q.RPSFlows
	}
	if flows == 0 || m.RPSFlows == nil || *m.RPSFlows > 0 {
		return
	}
	m.add(Judgement{
		Code: "rfs-half-set", Severity: Note, NICs: []string{n.Name},
		Text: fmt.Sprintf("%s has tables of %d flows for RFS, but the system's own is empty: RFS does nothing", n.Name, flows),
		Mend: fmt.Sprintf("sysctl net.core.rps_sock_flow_entries=%d", flows),
		Evidence: []Evidence{
			{"rps_flow_cnt of " + n.Name + ", all queues", fmt.Sprint(flows), "sys/class/net/" + n.Name + "/queues/rx-*/rps_flow_cnt"},
			{"rps_sock_flow_entries", fmt.Sprint(*m.RPSFlows), "proc/sys/net/core/rps_sock_flow_entries"},
		},
	})
}

// judgeTable looks at how evenly RSS spreads.
func (m *Machine) judgeTable(n *NIC) {
	rx := len(n.Rx())
	if n.RSS == nil || rx < 2 || !n.Up() {
		return
	}
	used := slices.Sorted(maps.Keys(n.RSS.Queues))
	if len(used) == 0 {
		return
	}
	least, most := n.RSS.Entries, 0
	for _, k := range n.RSS.Queues {
		least, most = min(least, k), max(most, k)
	}
	j := Judgement{
		Code: "rss-uneven", Severity: Note, NICs: []string{n.Name},
		Mend: fmt.Sprintf("if that is not meant so: ethtool -X %s equal %d", n.Name, rx),
		Evidence: []Evidence{
			{"entries of the RSS table", fmt.Sprint(n.RSS.Entries), "ethtool -x"},
			{"queues in it", host.CPUs(used...).String(), "ethtool -x"},
			{"entries of a queue", fmt.Sprintf("%d to %d", least, most), "ethtool -x"},
			{"receive queues", fmt.Sprint(rx), "sys/class/net/" + n.Name + "/queues"},
		},
	}
	switch {
	case len(used) < rx && n.RSS.Entries >= rx:
		j.Text = fmt.Sprintf("RSS of %s leads to %d of its %d receive queues (%v); the others get what is steered to them alone", n.Name, len(used), rx, host.CPUs(used...))
	case most > 2*least:
		j.Text = fmt.Sprintf("RSS of %s gives some queues %d entries of its table and others %d", n.Name, most, least)
	default:
		return
	}
	m.add(j)
}
