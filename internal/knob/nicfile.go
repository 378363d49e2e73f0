package knob

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// nicFile is a file below /sys/class/net/NIC.
func nicFile(root host.Root, nic, path string, info Info, canon func(string) (string, error)) Knob {
	info.InNetNS = true
	return at(root, "/sys/class/net/"+nic+"/"+path, file{info: info, check: ours(root, nic), canon: canon})
}

// MTU is a NIC's largest packet, in bytes without the link header. Below 1280 the kernel ends IPv6
// on the NIC: see [Harmless].
func MTU(root host.Root, nic string) Knob {
	return &mtu{nicFile(root, nic, "mtu", Info{
		Kind: "mtu", Key: nic, Name: "mtu", Target: nic, Mechanism: "sysfs mtu",
		Doc: "largest packet of the NIC, bytes",
	}, canonNumber).(*file), root, nic}
}

// ThreadedNAPI moves a NIC's receive work from softirq to kernel threads, one per
// NAPI instance (Linux 5.12): "0" or "1". The threads are made by "1" and ended by "0".
func ThreadedNAPI(root host.Root, nic string) Knob {
	return nicFile(root, nic, "threaded", Info{
		Kind: "threaded", Key: nic, Name: "threaded-napi", Target: nic, Mechanism: "sysfs threaded",
		Doc: "receive work in kernel threads instead of softirq",
	}, canonNumber)
}

// NICNumber is a file of /sys/class/net/NIC that holds a number: "gro_flush_timeout"
// (nanoseconds), "napi_defer_hard_irqs", "tx_queue_len" (packets). See
// Documentation/ABI/testing/sysfs-class-net.
func NICNumber(root host.Root, nic, name string) Knob {
	return nicFile(root, nic, name, Info{
		Kind: "nicfile", Key: nic + "/" + name, Name: name, Target: nic, Mechanism: "sysfs " + name,
	}, canonNumber)
}

func openNICNumber(r host.Root, key string) (Knob, error) {
	nic, name, ok := strings.Cut(key, "/")
	if !ok || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q is no NIC/FILE", key)
	}
	return NICNumber(r, nic, name), nil
}

// RPS is the set of CPUs over which a receive queue's packets are spread in
// software, as a mask ("0" for off). queue counts from 0.
func RPS(root host.Root, nic string, queue int) Knob { return steering(root, "rps", "rx", nic, queue) }

// XPS is the set of CPUs that send through a transmit queue, as a mask.
func XPS(root host.Root, nic string, queue int) Knob { return steering(root, "xps", "tx", nic, queue) }

func steering(root host.Root, kind, side, nic string, queue int) Knob {
	return nicFile(root, nic, fmt.Sprintf("queues/%s-%d/%s_cpus", side, queue, kind), Info{
		Kind: kind, Key: fmt.Sprintf("%s/%d", nic, queue), Name: kind, Target: fmt.Sprintf("%s/%s-%d", nic, side, queue),
		Mechanism: kind + "_cpus", Doc: "CPUs of the queue, as a mask",
	}, canonMask)
}

// RFS is how many flows a receive queue remembers the CPU of, "0" for off. The kernel
// rounds it up to a power of two (store_rps_dev_flow_table_cnt in net/core/net-sysfs.c).
func RFS(root host.Root, nic string, queue int) Knob {
	return nicFile(root, nic, fmt.Sprintf("queues/rx-%d/rps_flow_cnt", queue), Info{
		Kind: "rfs", Key: fmt.Sprintf("%s/%d", nic, queue), Name: "rfs", Target: fmt.Sprintf("%s/rx-%d", nic, queue),
		Mechanism: "rps_flow_cnt", Doc: "flows of the queue whose CPU is remembered",
	}, canonPower)
}

// canonPower rounds up to a power of two, as the kernel's tables of flows are.
func canonPower(v string) (string, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return "", fmt.Errorf("%q is not a number from 0 to %d", v, 1<<30)
	}
	if n > 0 {
		n = 1 << bits.Len64(n-1)
	}
	return strconv.FormatUint(n, 10), nil
}

func openRPS(r host.Root, key string) (Knob, error) { return openQueue(r, key, RPS) }
func openXPS(r host.Root, key string) (Knob, error) { return openQueue(r, key, XPS) }
func openRFS(r host.Root, key string) (Knob, error) { return openQueue(r, key, RFS) }

func openQueue(r host.Root, key string, f func(host.Root, string, int) Knob) (Knob, error) {
	i := strings.LastIndexByte(key, '/')
	q, err := strconv.Atoi(key[i+1:])
	if i < 0 || err != nil {
		return nil, fmt.Errorf("%q is no NIC/QUEUE", key)
	}
	return f(r, key[:i], q), nil
}
