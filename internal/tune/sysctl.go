package tune

import "github.com/stackmeter/stackmeter/internal/knob"

const (
	sourceNet  = "Documentation/admin-guide/sysctl/net.rst"
	sourceIP   = "Documentation/networking/ip-sysctl.rst"
	sourceKern = "Documentation/admin-guide/sysctl/kernel.rst"
)

// hostCatalogue is the sysctls. Those of net/core other than the socket buffers' and
// somaxconn exist in the machine's own network namespace only.
func hostCatalogue() []*Definition {
	const max32 = 1<<31 - 1
	num := number(0, max32)
	sw := number(0, 1)
	var out []*Definition
	for _, s := range []struct {
		name, doc, form string
		canon           func(string) (string, error)
		source          string
		remedies        []string
	}{
		{"net.core.netdev_budget", "packets that one round of receive softirqs may handle", "a number of packets", number(1, max32), sourceNet, []string{"600"}},
		{"net.core.netdev_budget_usecs", "microseconds that one round of receive softirqs may take", "microseconds", number(1, max32), sourceNet, []string{"8000"}},
		{"net.core.dev_weight", "packets that one NAPI instance may handle before the next has its turn", "a number of packets", number(1, max32), sourceNet, nil},
		{"net.core.netdev_max_backlog", "packets that wait on a CPU for RPS, or from devices without NAPI, before more are dropped", "a number of packets", num, sourceNet, []string{"10000"}},
		{"net.core.gro_normal_batch", "packets that GRO hands up the stack at once", "a number of packets", number(1, max32), sourceNet, nil},
		{"net.core.skb_defer_max", "buffers that may wait to be freed by the CPU that made them", "a number of buffers", num, sourceNet, nil},
		{"net.core.rps_sock_flow_entries", "flows whose reader's CPU is remembered (RFS); rounded up to a power of two; 0: off", "a number of flows", number(0, 1<<30), sourceScaling, []string{"32768"}},
		{"net.core.busy_poll", "microseconds that poll and select spin for packets; 0: off", "microseconds", num, sourceNet, []string{"50"}},
		{"net.core.busy_read", "microseconds that a read of a socket spins for packets; 0: off", "microseconds", num, sourceNet, []string{"50"}},
		{"net.core.rmem_max", "largest receive buffer that SO_RCVBUF may ask for", "bytes", number(2304, max32), sourceNet, []string{"67108864"}},
		{"net.core.rmem_default", "receive buffer of sockets that don't ask (not TCP)", "bytes", number(2304, max32), sourceNet, nil},
		{"net.core.wmem_max", "largest send buffer that SO_SNDBUF may ask for", "bytes", number(4608, max32), sourceNet, []string{"67108864"}},
		{"net.core.wmem_default", "send buffer of sockets that don't ask (not TCP)", "bytes", number(4608, max32), sourceNet, nil},
		{"net.core.optmem_max", "memory for a socket's ancillary data; bounds MSG_ZEROCOPY", "bytes", num, sourceNet, nil},
		{"net.core.somaxconn", "connections that wait to be accepted, at most", "a number of connections", num, sourceNet, []string{"4096"}},
		{"net.ipv4.tcp_rmem", "least, first and largest receive buffer of a TCP socket", "three numbers of bytes", numbers(3), sourceIP, []string{"4096 131072 67108864"}},
		{"net.ipv4.tcp_wmem", "least, first and largest send buffer of a TCP socket", "three numbers of bytes", numbers(3), sourceIP, []string{"4096 65536 67108864"}},
		{"net.ipv4.tcp_mem", "memory of all TCP sockets: no pressure, pressure, bound", "three numbers of pages", numbers(3), sourceIP, nil},
		{"net.ipv4.udp_mem", "memory of all UDP sockets: no pressure, pressure, bound", "three numbers of pages", numbers(3), sourceIP, nil},
		{"net.ipv4.tcp_congestion_control", "congestion control of connections made from now on", "a name such as cubic, bbr, reno", word, sourceIP, []string{"cubic"}},
		{"net.ipv4.tcp_moderate_rcvbuf", "the receive buffer grows with what the reader takes", "0 or 1", sw, sourceIP, []string{"1"}},
		{"net.ipv4.tcp_window_scaling", "windows above 64 KiB (RFC 7323)", "0 or 1", sw, sourceIP, []string{"1"}},
		{"net.ipv4.tcp_timestamps", "timestamps in segments (RFC 7323): 12 bytes each, exact round-trip times", "0, 1 or 2", number(0, 2), sourceIP, nil},
		{"net.ipv4.tcp_sack", "selective acknowledgements (RFC 2018)", "0 or 1", sw, sourceIP, []string{"1"}},
		{"net.ipv4.tcp_autocorking", "small writes wait while earlier ones are in the NIC's queue", "0 or 1", sw, sourceIP, nil},
		{"net.ipv4.tcp_limit_output_bytes", "bytes of a socket that may wait in queueing discipline and NIC", "bytes", num, sourceIP, nil},
		{"net.ipv4.tcp_notsent_lowat", "unsent bytes at which a socket counts as writable", "bytes", number(0, 1<<32-1), sourceIP, nil},
		{"net.ipv4.tcp_min_tso_segs", "least segments of a big packet", "1 to 65535", number(1, 65535), sourceIP, nil},
		{"net.ipv4.tcp_slow_start_after_idle", "the window starts anew after idleness", "0 or 1", sw, sourceIP, []string{"0"}},
		{"net.ipv4.tcp_mtu_probing", "finds the path's MTU by trying: 0 never, 1 after a black hole, 2 always", "0, 1 or 2", number(0, 2), sourceIP, nil},
		{"net.ipv4.tcp_max_syn_backlog", "connection requests that are remembered, at most", "a number of requests", num, sourceIP, nil},
		{"kernel.numa_balancing", "pages and tasks are moved to each other's memory node: 0 off, 1 on, 2 memory tiers", "0 to 3", number(0, 3), sourceKern, []string{"0"}},
	} {
		out = append(out, sysctl(Definition{Name: s.name, Doc: s.doc, Source: s.source, Form: s.form, Remedies: s.remedies, canon: s.canon}))
	}
	return out
}

func sysctl(d Definition) *Definition {
	d.Scope = Host
	return single(d, func(m *Machine, _ string) (knob.Knob, error) { return knob.Sysctl(m.Root, d.Name), nil })
}

// defaultQdisc comes after the NICs' qdiscs, so that it is put back before them: a NIC that
// gets the kernel's default back must get the one of before.
func defaultQdisc() []*Definition {
	return []*Definition{sysctl(Definition{
		Name: "net.core.default_qdisc", Doc: "queueing discipline of queues made from now on", Source: sourceNet,
		Form: "a kind such as fq, fq_codel, pfifo_fast", canon: word,
	})}
}
