package topo

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// vectors adds the interrupts of the nearest device at or above a NIC's that has any: a
// virtio NIC's are its PCI parent's.
func (r *reader) vectors(device string, to map[int]string) {
	for dir := device; strings.HasPrefix(dir, "sys/devices/"); dir = path.Dir(dir) {
		found := r.numbered("", dir, "msi_irqs")
		for _, n := range found {
			r.text(dir, "msi_irqs", strconv.Itoa(n)) // for a capture
		}
		if n, ok := r.number(dir, "irq"); ok && n > 0 && len(found) == 0 {
			found = []int{int(n)}
		}
		for _, n := range found {
			to[n] = dir
		}
		if len(found) > 0 {
			return
		}
	}
}

// interrupts gives the NICs their interrupts. Where a device has several NICs, handlers
// named for one of them are that one's.
func (r *reader) interrupts(m *Machine, devices map[string]string, vectors map[int]string) {
	if len(vectors) == 0 {
		return
	}
	s, ok := r.content("proc/interrupts", func(s string) string { return linesOf(s, vectors) })
	if !ok {
		return
	}
	all, err := host.ParseInterrupts(strings.NewReader(s))
	if err != nil {
		r.warn("proc/interrupts", err)
	}
	for _, in := range all {
		dir, ok := vectors[in.IRQ]
		if !ok || len(in.Actions) == 0 {
			continue
		}
		q := r.irq(in)
		var on, named []*NIC
		for i := range m.NICs {
			n := &m.NICs[i]
			device := devices[n.Name]
			if device != dir && !strings.HasPrefix(device, dir+"/") {
				continue
			}
			on = append(on, n)
			if slices.ContainsFunc(in.Actions, func(a string) bool {
				return host.NamesDevice(a, n.Name) || host.NamesDevice(a, path.Base(device)) && device != dir
			}) {
				named = append(named, n)
			}
		}
		if len(named) > 0 {
			on = named
		}
		for _, n := range on {
			n.Interrupts = append(n.Interrupts, q)
		}
	}
	// Intel's drivers name the vector for all but packets as the interface alone.
	for i := range m.NICs {
		n := &m.NICs[i]
		for j := range n.Interrupts {
			if q := &n.Interrupts[j]; q.Name == n.Name && len(n.Interrupts) > 1 {
				q.Control = true
			}
		}
	}
}

// linesOf leaves of /proc/interrupts the heading and the lines of some interrupts.
func linesOf(s string, irqs map[int]string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		label, _, _ := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(label))
		if _, mine := irqs[n]; out.Len() == 0 || err == nil && mine {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (r *reader) irq(in host.Interrupt) IRQ {
	dir := path.Join("proc/irq", strconv.Itoa(in.IRQ))
	q := IRQ{
		IRQ: in.IRQ, Name: strings.Join(in.Actions, ", "), Busiest: -1,
		Affinity: r.cpus(dir, "smp_affinity_list"), Effective: r.cpus(dir, "effective_affinity_list"),
	}
	q.Control = isControl(q.Name)
	most := uint64(0)
	for cpu, n := range in.Counts {
		q.Count += n
		if n > most || n == most && n > 0 && cpu < q.Busiest {
			most, q.Busiest = n, cpu
		}
	}
	return q
}

// controlWords are parts of the names of handlers that carry no packets: mlx5_async0, ice-misc,
// virtio2-config, ena-mgmnt, gve-mgmnt, i40e-...:misc, eth0-event-0, ...
var controlWords = []string{"async", "misc", "config", "mgmnt", "mgmt", "ctrl", "control", "event", "pages", "cmd", "mailbox", "mbx", "health", "ptp", "oicr", "ll_ts"}

func isControl(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(controlWords, func(w string) bool { return strings.Contains(name, w) })
}
