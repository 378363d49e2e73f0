package topo

import "github.com/stackmeter/stackmeter/internal/host"

// NIC is a network interface.
type NIC struct {
	Name         string            `json:"name"`
	Index        int               `json:"ifindex"`
	Kind         string            `json:"kind"`                                // what it is: "pci", "virtual function", "paravirtual", "emulated", "usb", "platform", or of a virtual one "veth", "bridge", "bond", "vlan", "tun", ...
	Nature       string            `json:"nature,omitempty"`                    // what to know of such a one, in a sentence
	Driver       string            `json:"driver,omitempty"`                    // as sysfs, or else the driver, names it
	Firmware     string            `json:"firmware,omitempty"`                  // version of the NIC's
	PCI          string            `json:"pci,omitempty"`                       // address of its PCI function, also where it is a device on top of that (virtio)
	Node         int               `json:"numa_node"`                           // of its device; -1: none or not known
	OperState    string            `json:"operstate"`                           // "up", "down", "unknown", ...
	SpeedBits    int64             `json:"speed_bits_per_second,omitempty"`     // of the link now; absent where there is none or the driver doesn't know
	SpeedMaxBits int64             `json:"speed_max_bits_per_second,omitempty"` // fastest link mode that it supports; absent where the driver doesn't say
	MTU          int               `json:"mtu_bytes"`                           // largest packet
	Upper        []string          `json:"upper,omitempty"`                     // interfaces on top of it (bond, bridge, VLAN)
	Lower        []string          `json:"lower,omitempty"`                     // interfaces below it
	Threaded     bool              `json:"threaded_napi"`                       // its NAPI instances have kernel threads
	GROFlush     int64             `json:"gro_flush_timeout_ns"`                // how long GRO may hold packets over polls
	DeferIRQs    int64             `json:"napi_defer_hard_irqs"`                // empty polls before its interrupts are enabled again
	TxQueueLen   int64             `json:"tx_queue_length_packets"`             // of its qdisc
	Queues       []Queue           `json:"queues"`                              // receive queues, then transmit queues
	NAPIs        []NAPI            `json:"napis,omitempty"`                     // absent where the kernel was not asked or gives none
	Interrupts   []IRQ             `json:"interrupts,omitempty"`                // vectors that have a handler
	RSS          *RSS              `json:"rss,omitempty"`                       // absent where the NIC doesn't tell its table
	Rings        *host.Rings       `json:"rings,omitempty"`                     // descriptors a queue
	Channels     *host.Channels    `json:"channels,omitempty"`                  // queues with an interrupt
	Coalescing   *host.Coalescing  `json:"coalescing,omitempty"`                // how it holds interrupts back
	Offloads     map[string]bool   `json:"offloads,omitempty"`                  // features that are on or can be, by the kernel's names
	NotAnswered  map[string]string `json:"not_answered,omitempty"`              // what could not be asked, and why
}

// Queue is a receive or transmit queue.
type Queue struct {
	Type     string       `json:"type"`                     // "rx" or "tx"
	ID       int          `json:"id"`                       // from 0
	NAPI     int          `json:"napi_id,omitempty"`        // instance that serves it; 0: not told
	IRQ      int          `json:"irq,omitempty"`            // of that instance; 0: not told
	RPS      host.CPUList `json:"rps_cpus,omitempty"`       // rx: CPUs that packets are handed to; empty: off
	RPSFlows int64        `json:"rps_flow_count,omitempty"` // rx: entries of its table of flows for RFS; 0: off
	XPS      host.CPUList `json:"xps_cpus,omitempty"`       // tx: CPUs that send through it; empty: not set
	XPSRx    host.CPUList `json:"xps_rxqs,omitempty"`       // tx: receive queues whose flows send through it; empty: not set
}

// NAPI is an instance that polls queues.
type NAPI struct {
	ID   int          `json:"id"`                    // the kernel's
	IRQ  int          `json:"irq,omitempty"`         // that wakes it; 0: not told
	PID  int          `json:"pid,omitempty"`         // of its thread, where threaded
	CPUs host.CPUList `json:"thread_cpus,omitempty"` // that the thread may run on
}

// IRQ is an interrupt of a NIC.
type IRQ struct {
	IRQ       int          `json:"irq"`
	Name      string       `json:"name"`                         // of its handler
	Control   bool         `json:"control,omitempty"`            // for events and commands, not for packets
	Affinity  host.CPUList `json:"affinity,omitempty"`           // CPUs that it may go to
	Effective host.CPUList `json:"effective_affinity,omitempty"` // CPUs that it does go to; absent where the kernel doesn't say
	Count     uint64       `json:"count"`                        // taken on the CPUs online, since the handler came
	Busiest   int          `json:"busiest_cpu"`                  // that took most of them; -1: none yet
}

// CPUs are those where the interrupt is taken, as far as the host tells: the effective
// affinity, else the CPU that took most, else the first allowed.
func (q IRQ) CPUs() host.CPUList {
	switch {
	case len(q.Effective) > 0:
		return q.Effective
	case q.Busiest >= 0:
		return host.CPUs(q.Busiest)
	case len(q.Affinity) > 0:
		return q.Affinity[:1]
	}
	return nil
}

// RSS is a NIC's table of which receive queue a packet's hash leads to.
type RSS struct {
	Entries int         `json:"entries"` // of the table
	Queues  map[int]int `json:"queues"`  // entries of each receive queue that has any
}

// Rx are the receive queues.
func (n *NIC) Rx() []Queue { return n.queues("rx") }

// Tx are the transmit queues.
func (n *NIC) Tx() []Queue { return n.queues("tx") }

func (n *NIC) queues(typ string) []Queue {
	var out []Queue
	for _, q := range n.Queues {
		if q.Type == typ {
			out = append(out, q)
		}
	}
	return out
}

// Up reports whether the NIC can carry traffic; many virtual ones say "unknown".
func (n *NIC) Up() bool { return n.OperState == "up" || n.OperState == "unknown" }

// Speed is what the link does, or where that isn't known what it can; 0: not known.
func (n *NIC) Speed() int64 {
	if n.SpeedBits > 0 {
		return n.SpeedBits
	}
	return n.SpeedMaxBits
}

// Physical reports whether there is a device behind it, as far as can be told.
func (n *NIC) Physical() bool { return n.Kind == "pci" || n.Kind == "virtual function" }

// queued reports whether it has queues and interrupts of its own.
func (n *NIC) queued() bool {
	return n.Physical() || n.Kind == "paravirtual" || n.Kind == "emulated"
}
