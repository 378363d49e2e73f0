package madeup

import (
	"fmt"
	"path"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// nic is a network interface and what it is set to.
type nic struct {
	name, driver   string
	device         string // directory of the device, "" for a virtual interface
	state          string // "" is "up"
	mbit, maxMbit  int    // of the link, of the fastest mode
	mtu            int    // 0: 1500
	rx, tx         int    // queues
	maxQueues      int    // combined; 0: the driver doesn't say
	handler        string // of a queue's interrupt, with %d; "": none
	control        []string
	cpu            func(queue int) int // where the queue's interrupt goes
	rps            host.CPUList
	rpsFlows       int
	rss            int // entries of the table; 0: none
	rssQueues      int // 0: all
	ring, ringMax  uint32
	adaptive       bool
	features       map[string]bool
	uevent, kernel string // DEVTYPE of a virtual one; what the driver calls itself
	silent         bool   // no answers from ethtool and netlink, as of an old capture
}

// usual are the offloads of a modern NIC.
func usual() map[string]bool {
	return map[string]bool{
		"rx-gro": true, "tx-generic-segmentation": true, "tx-tcp-segmentation": true, "tx-tcp6-segmentation": true, "rx-checksum": true,
		"tx-checksum-ip-generic": true, "tx-scatter-gather": true, "rx-lro": false, "rx-hashing": true, "rx-ntuple-filter": false,
	}
}

func (b *builder) nic(n nic) {
	dir := "sys/devices/virtual/net/" + n.name
	if n.device != "" {
		dir = path.Join(n.device, "net", n.name)
		b.link(dir+"/device", n.device)
		if _, err := b.ReadLink(n.device + "/driver"); err != nil {
			b.link(n.device+"/driver", "sys/bus/drivers/"+n.driver)
		}
	}
	b.link("sys/class/net/"+n.name, dir)
	state, mtu, speed := n.state, n.mtu, n.mbit
	if state == "" {
		state = "up"
	}
	if mtu == 0 {
		mtu = 1500
	}
	if speed == 0 {
		speed = -1
	}
	for file, v := range map[string]any{
		"ifindex": b.index, "operstate": state, "mtu": mtu, "speed": speed, "threaded": 0, "gro_flush_timeout": 0, "napi_defer_hard_irqs": 0, "tx_queue_len": 1000,
	} {
		b.Write(dir+"/"+file, fmt.Sprintln(v))
	}
	if n.uevent != "" {
		b.Write(dir+"/uevent", fmt.Sprintf("DEVTYPE=%s\nINTERFACE=%s\nIFINDEX=%d\n", n.uevent, n.name, b.index))
	}
	for q := range n.rx {
		d := fmt.Sprintf("%s/queues/rx-%d/", dir, q)
		b.Write(d+"rps_cpus", n.rps.Mask()+"\n")
		b.Write(d+"rps_flow_cnt", fmt.Sprintln(n.rpsFlows))
	}
	for q := range n.tx {
		d := fmt.Sprintf("%s/queues/tx-%d/", dir, q)
		xps := host.CPUList(nil)
		if n.tx > 1 && q < b.cpus {
			xps = host.CPUs(q)
		}
		b.Write(d+"xps_cpus", xps.Mask()+"\n")
		b.Write(d+"xps_rxqs", "0\n")
	}
	irqs := b.vectors(n)
	if !n.silent {
		b.json("stackmeter/nic/"+n.name+".json", b.answers(n, irqs))
	}
	b.index++
}

// vectors makes the interrupts of a NIC and returns those of its queues.
func (b *builder) vectors(n nic) []int {
	if n.handler == "" {
		return nil
	}
	pci := n.device
	for !strings.Contains(path.Base(pci), ":") || strings.Contains(path.Base(pci), "pci") {
		if pci == "." {
			pci = n.device
			break
		}
		pci = path.Dir(pci)
	}
	var queues []int
	for i, name := range n.control {
		b.vector(pci, name, i%b.cpus, 3)
	}
	for q := range n.rx {
		queues = append(queues, b.irq)
		b.vector(pci, fmt.Sprintf(n.handler, q), n.cpu(q), 1_000_000+1000*q)
	}
	return queues
}

func (b *builder) vector(device, name string, cpu, count int) {
	b.Write(fmt.Sprintf("%s/msi_irqs/%d", device, b.irq), "msix\n")
	b.Write(fmt.Sprintf("proc/irq/%d/smp_affinity_list", b.irq), fmt.Sprintln(cpu))
	b.Write(fmt.Sprintf("proc/irq/%d/effective_affinity_list", b.irq), fmt.Sprintln(cpu))
	fmt.Fprintf(&b.table, "%4d:", b.irq)
	for c := range b.cpus {
		n := 0
		if c == cpu {
			n = count
		}
		fmt.Fprintf(&b.table, " %10d", n)
	}
	fmt.Fprintf(&b.table, "  IR-PCI-MSIX-%s %d-edge      %s\n", path.Base(device), b.irq, name)
	b.irq++
}

func (b *builder) answers(n nic, irqs []int) topo.Answers {
	e := &host.Ethtool{Driver: n.kernel, Features: n.features, SupportedSpeedBits: int64(n.maxMbit) * 1_000_000}
	if e.Driver == "" {
		e.Driver = n.driver
	}
	if n.maxQueues > 0 {
		e.Channels = &host.Channels{Combined: uint32(n.rx), CombinedMax: uint32(n.maxQueues)}
	}
	if n.ring > 0 {
		e.Rings = &host.Rings{Rx: n.ring, RxMax: n.ringMax, Tx: n.ring, TxMax: n.ringMax}
		e.Coalescing = &host.Coalescing{AdaptiveRx: n.adaptive, AdaptiveTx: n.adaptive, RxUsecs: 8, RxFrames: 128, TxUsecs: 8, TxFrames: 128}
	}
	queues := n.rssQueues
	if queues == 0 {
		queues = n.rx
	}
	for i := range n.rss {
		e.Indirection = append(e.Indirection, uint32(i%queues))
	}
	a := topo.Answers{Ethtool: e}
	for q, irq := range irqs {
		id := 8192 + 512*b.index + q
		a.NAPIs = append(a.NAPIs, host.NAPI{ID: id, IRQ: irq})
		a.Queues = append(a.Queues, host.Queue{ID: q, Type: "rx", NAPI: id})
	}
	for q := range min(n.tx, len(irqs)) {
		a.Queues = append(a.Queues, host.Queue{ID: q, Type: "tx", NAPI: a.NAPIs[q].ID})
	}
	return a
}
