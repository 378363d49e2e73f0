package topo

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

const netDir = "sys/class/net"

// nics reads all interfaces but the loopback, then what they share.
func (r *reader) nics(m *Machine, ask asker) {
	vectors := map[int]string{} // to the device that they are of
	devices := map[string]string{}
	for _, name := range r.names(netDir) {
		if name == "lo" {
			continue
		}
		real := r.link(netDir, name)
		if real == "" {
			continue // bonding_masters is a file among them
		}
		index, ok := r.number(real, "ifindex")
		if !ok || index <= 0 {
			r.warn(path.Join(real, "ifindex"), fmt.Errorf("NIC %s has no index and is left out", name))
			continue
		}
		n := NIC{Name: name, Index: int(index), Node: -1, Queues: []Queue{}}
		r.settings(&n, real)
		device := r.link(real, "device")
		devices[name] = device
		n.Driver = base(r.link(device, "driver"))
		if device != "" {
			n.PCI = r.pci(m, device)
			r.vectors(device, vectors)
		}
		if d := m.pci(n.PCI); d != nil {
			n.Node = d.Node
			d.NICs = append(d.NICs, name)
		} else if device != "" {
			n.Node = r.id(device, "numa_node")
		}
		r.queues(&n, real)
		r.answers(&n, ask)
		r.kind(m, &n, real, device)
		m.NICs = append(m.NICs, n)
	}
	m.natures()
	r.interrupts(m, devices, vectors)
	for i := range m.NICs {
		m.NICs[i].joinQueues()
	}
	slices.SortFunc(m.NICs, func(a, b NIC) int { return a.Index - b.Index })
}

// settings reads the interface's own files.
func (r *reader) settings(n *NIC, dir string) {
	n.OperState = r.text(dir, "operstate")
	mtu, _ := r.number(dir, "mtu")
	n.MTU = int(mtu)
	// The file has -1 or can't be read where the speed isn't known; some drivers write the
	// unsigned form of -1.
	if mbit, _ := r.number(dir, "speed"); mbit > 0 && mbit < 1<<31 {
		n.SpeedBits = mbit * 1_000_000
	}
	threaded, _ := r.number(dir, "threaded")
	n.Threaded = threaded == 1
	n.GROFlush, _ = r.number(dir, "gro_flush_timeout")
	n.DeferIRQs, _ = r.number(dir, "napi_defer_hard_irqs")
	n.TxQueueLen, _ = r.number(dir, "tx_queue_len")
	for _, entry := range r.names(dir) {
		if upper, ok := strings.CutPrefix(entry, "upper_"); ok {
			r.link(dir, entry)
			n.Upper = append(n.Upper, upper)
		}
		if lower, ok := strings.CutPrefix(entry, "lower_"); ok {
			r.link(dir, entry)
			n.Lower = append(n.Lower, lower)
		}
	}
}

// queues reads the queues that sysfs shows, with RPS, RFS and XPS.
func (r *reader) queues(n *NIC, dir string) {
	dir = path.Join(dir, "queues")
	for _, id := range r.numbered("rx-", dir) {
		d := path.Join(dir, "rx-"+strconv.Itoa(id))
		q := Queue{Type: "rx", ID: id, RPS: r.mask(d, "rps_cpus")}
		q.RPSFlows, _ = r.number(d, "rps_flow_cnt")
		n.Queues = append(n.Queues, q)
	}
	for _, id := range r.numbered("tx-", dir) {
		d := path.Join(dir, "tx-"+strconv.Itoa(id))
		n.Queues = append(n.Queues, Queue{Type: "tx", ID: id, XPS: r.mask(d, "xps_cpus"), XPSRx: r.mask(d, "xps_rxqs")})
	}
}

// answers adds what the kernel says beyond its files.
func (r *reader) answers(n *NIC, ask asker) {
	a := ask(r, n.Name, n.Index)
	if a == nil {
		return
	}
	if e := a.Ethtool; e != nil {
		if n.Driver == "" {
			n.Driver = e.Driver
		}
		n.Firmware, n.SpeedMaxBits = e.Firmware, e.SupportedSpeedBits
		n.Rings, n.Channels, n.Coalescing, n.Offloads = e.Rings, e.Channels, e.Coalescing, e.Features
		if len(e.Indirection) > 0 {
			n.RSS = &RSS{Entries: len(e.Indirection), Queues: map[int]int{}}
			for _, q := range e.Indirection {
				n.RSS.Queues[int(q)]++
			}
		}
	}
	n.NotAnswered = a.Refused
	for _, x := range a.NAPIs {
		i := NAPI{ID: x.ID, IRQ: x.IRQ, PID: x.PID}
		if x.PID > 0 {
			s, _ := r.content(path.Join("proc", strconv.Itoa(x.PID), "status"), func(s string) string { return lineWith(s, "Cpus_allowed_list:") })
			_, list, _ := strings.Cut(s, ":")
			i.CPUs, _ = host.ParseCPUList(list)
		}
		n.NAPIs = append(n.NAPIs, i)
	}
	napi := map[string]int{}
	for _, q := range a.Queues {
		napi[q.Type+strconv.Itoa(q.ID)] = q.NAPI
	}
	for i := range n.Queues {
		q := &n.Queues[i]
		q.NAPI = napi[q.Type+strconv.Itoa(q.ID)]
	}
}

// joinQueues gives the queues the interrupts of their NAPI instances.
func (n *NIC) joinQueues() {
	irq := map[int]int{}
	for _, x := range n.NAPIs {
		irq[x.ID] = x.IRQ
	}
	for i := range n.Queues {
		n.Queues[i].IRQ = irq[n.Queues[i].NAPI]
	}
}
