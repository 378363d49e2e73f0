package main

import (
	"slices"
	"strings"
)

// entry is a stack on a device.
type entry struct{ Stack, Device string }

func (e entry) title() string { return e.Stack + "/" + e.Device }

func (e entry) onTUN() bool { return e.Device == "tun" || e.Device == "vnet" }

// kind is what is done, as seen from the stack.
type kind string

const (
	receive kind = "receive" // the peer sends a stream
	send    kind = "send"    // the stack does
	rr      kind = "rr"      // the peer asks with one byte, the stack answers with one
	crr     kind = "crr"     // the stack connects, asks, and closes
	crrOf   kind = "crrOf"   // the peer does
	shards  kind = "shards"  // stacks against one another, without a peer
)

// stream reports whether bits count, and not transactions.
func (k kind) stream() bool { return k == receive || k == send || k == shards }

// ask is a ratio of two entries that is wanted.
type ask struct {
	over, under entry
	own         bool // of the CPU time of the stack's own process
	rate        bool // of the rate itself, not per CPU
	want        float64
}

// contest is one case.
type contest struct {
	name, what string
	kind       kind
	flows      int
	mtu        int
	entries    []entry
	asks       []ask
	steady     bool // count the runs that carry less than half of the median
}

// with leaves the entries that only names, by stack or by stack and device.
func (c contest) with(only string) contest {
	if only == "" {
		return c
	}
	names := strings.Split(only, ",")
	c.entries = slices.DeleteFunc(slices.Clone(c.entries), func(e entry) bool {
		return !slices.Contains(names, e.title()) && !slices.Contains(names, e.Stack)
	})
	return c
}

func (c contest) titles() (out []string) {
	for _, k := range cases() {
		if k.name == c.name {
			for _, e := range k.entries {
				out = append(out, e.title())
			}
		}
	}
	return out
}

// kernels are the kernel's TCP as a stack, with GRO at the receiver and without.
var kernels = []entry{{"kernel", "veth"}, {"kernel", "veth-gro"}}

// both is ustack and gVisor on each of the devices, and the kernel.
func both(devices ...string) []entry {
	out := slices.Clone(kernels)
	for _, d := range devices {
		out = append(out, entry{"gvisor", d}, entry{"ustack", d})
	}
	return out
}

// against asks for a ratio on each of the devices.
func against(want float64, devices ...string) (out []ask) {
	for _, d := range devices {
		out = append(out, ask{over: entry{"ustack", d}, under: entry{"gvisor", d}, want: want})
	}
	return out
}

// cases are all of them, in the order in which they run.
func cases() []contest {
	small := []string{"tun", "packet", "ring", "xdp"}
	jumbo := []string{"tun", "packet", "ring"}
	kernel := ask{over: entry{"ustack", "xdp"}, under: entry{"kernel", "veth"}, want: 1}
	vnet := []entry{{"gvisor", "vnet"}, {"ustack", "vnet"}}
	own := ask{over: vnet[1], under: vnet[0], own: true, want: 1.6}
	big := append(both(jumbo...), entry{"ustack", "xdp"}) // gVisor's is made for 1500
	return []contest{
		{name: "recv1", what: "bulk receive, 1500-byte frames, 1 flow", kind: receive, flows: 1, mtu: 1500, entries: both(small...), asks: append(against(2.5, small...), kernel)},
		{name: "recv4", what: "the same, 4 flows", kind: receive, flows: 4, mtu: 1500, entries: both(small...), asks: append(against(2.5, small...), kernel)},
		{name: "send1", what: "bulk send, 1500-byte frames, 1 flow", kind: send, flows: 1, mtu: 1500, entries: both(small...), asks: against(2, small...)},
		{name: "send4", what: "the same, 4 flows", kind: send, flows: 4, mtu: 1500, entries: both(small...), asks: against(2, small...)},
		{name: "jumbo-recv", what: "bulk receive, 9000-byte frames", kind: receive, flows: 1, mtu: 9000, entries: big, asks: against(2, jumbo...)},
		{name: "jumbo-send", what: "bulk send, 9000-byte frames", kind: send, flows: 1, mtu: 9000, entries: big, asks: against(2, jumbo...)},
		{name: "vnet-recv", what: "bulk receive over TUN with vnet_hdr", kind: receive, flows: 1, mtu: 1500, entries: vnet, asks: append(against(1.3, "vnet"), own)},
		{name: "vnet-send", what: "bulk send over TUN with vnet_hdr", kind: send, flows: 1, mtu: 1500, entries: vnet, asks: against(1.6, "vnet")},
		{name: "rr16", what: "one byte asked and answered, 16 flows", kind: rr, flows: 16, mtu: 1500, entries: both(small...), asks: against(2.5, small...)},
		{name: "crr8", what: "connect, one byte asked and answered, close: 8 clients in the stack", kind: crr, flows: 8, mtu: 1500, entries: both(small...), asks: against(2, small...)},
		{name: "crr8-served", what: "the same, the clients in the peer", kind: crrOf, flows: 8, mtu: 1500, entries: both(small...), asks: against(2, small...)},
		{
			name: "collapse", what: "bulk send with loss recovery on: runs under half of the median; best with -rounds 100", kind: send, flows: 1, mtu: 1500,
			entries: append(vnet, entry{"gvisor", "tun"}, entry{"ustack", "tun"}), steady: true,
		},
		{
			name: "shards", what: "over the pipe device, two shards on two CPUs against one on one", kind: shards, flows: 8, mtu: 1500,
			entries: []entry{{"ustack", "pipe1"}, {"ustack", "pipe2"}},
			asks:    []ask{{over: entry{"ustack", "pipe2"}, under: entry{"ustack", "pipe1"}, rate: true, want: 1.8}},
		},
	}
}
