package tune

import (
	"fmt"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

const (
	sourceEthtool  = "Documentation/networking/ethtool-netlink.rst"
	sourceNIC      = "Documentation/ABI/testing/sysfs-class-net"
	sourceFeatures = "Documentation/networking/netdev-features.rst"
	sourceScaling  = "Documentation/networking/scaling.rst"
	sourceNAPI     = "Documentation/networking/napi.rst"
)

// nicCatalogue is what a NIC has, but for the places of its work.
func nicCatalogue() []*Definition {
	var out []*Definition
	parameter := func(name, doc, form string, canon func(string) (string, error), remedies ...string) {
		d := Definition{Scope: NIC, Name: name, Doc: doc, Source: sourceEthtool, Form: form, Remedies: remedies, canon: canon}
		d.more = func(_ *Machine, nic string) []string {
			n, err := knob.EthtoolMax(nic, name)
			if err != nil || n == 0 {
				return nil
			}
			return []string{strconv.FormatUint(uint64(n), 10)}
		}
		out = append(out, bounded(single(d, func(_ *Machine, nic string) (knob.Knob, error) { return knob.Ethtool(nic, name) })))
	}
	count := number(0, 1<<20)
	parameter("rx-channels", "queues that only receive; more spread the work over more CPUs", "a number of queues", number(0, 4096))
	parameter("tx-channels", "queues that only send", "a number of queues", number(0, 4096))
	parameter("combined-channels", "queues that receive and send; more spread the work over more CPUs", "a number of queues", number(0, 4096))
	parameter("rx-ring", "frames that each receive ring holds; too few drop bursts, too many spoil the cache", "a number of frames", count)
	parameter("tx-ring", "frames that each transmit ring holds", "a number of frames", count)

	out = append(out, rss(), harmless(single(Definition{
		Scope: NIC, Name: "mtu", Source: sourceNIC,
		Doc:  "largest packet without the link header; all of a link must agree; below 1280 only where no IPv6 address or route is configured, which would be lost",
		Form: "bytes, 68 to 65535", canon: number(68, 65535),
	}, func(m *Machine, nic string) (knob.Knob, error) { return knob.MTU(m.Root, nic), nil })))

	for _, f := range []struct {
		name, feature, doc string
		remedies           []string
	}{
		{"rx-checksum", "rx", "the NIC checks the checksums of received packets", []string{"on"}},
		{"tx-checksum", "tx", "the NIC computes the checksums of sent packets", []string{"on"}},
		{"scatter-gather", "sg", "the NIC collects a packet from several places; TSO and GSO need it", []string{"on"}},
		{"gso", "gso", "big packets pass the stack whole and are segmented just above the driver", []string{"on"}},
		{"tso", "tso", "the NIC segments big TCP packets", []string{"on"}},
		{"uso", "tx-udp-segmentation", "the NIC segments big UDP packets (UDP_SEGMENT)", []string{"on"}},
		{"gro", "gro", "segments of a flow are merged before they pass the stack", []string{"on"}},
		{"gro-hw", "rx-gro-hw", "the NIC merges segments such that they can be taken apart again", []string{"on"}},
		{"gro-list", "rx-gro-list", "segments are chained, not merged: cheaper where they are forwarded", nil},
		{"gro-udp-forwarding", "rx-udp-gro-forwarding", "merges UDP datagrams that are forwarded", nil},
		{"lro", "lro", "the NIC merges segments for good; breaks forwarding and bridging", nil},
		{"arfs", "rx-ntuple-filter", "filters steer each flow to the queue of its reader's CPU (accelerated RFS); needs rfs", []string{"on"}},
	} {
		out = append(out, single(Definition{
			Scope: NIC, Name: f.name, Doc: f.doc, Source: sourceFeatures, Form: "on or off", Remedies: f.remedies, canon: onOff,
		}, func(_ *Machine, nic string) (knob.Knob, error) { return knob.Offload(nic, f.feature), nil }))
	}
	for _, s := range []struct{ name, doc string }{
		{"gso-max-size", "largest packet handed to the NIC for segmentation; above 65536 (BIG TCP) for IPv6"},
		{"gro-max-size", "largest packet that GRO merges; above 65536 (BIG TCP) for IPv6"},
		{"gso-ipv4-max-size", "the same of IPv4 for sending"},
		{"gro-ipv4-max-size", "the same of IPv4 for receiving"},
	} {
		out = append(out, single(Definition{
			Scope: NIC, Name: s.name, Doc: s.doc, Source: "Documentation/netlink/specs/rt-link.yaml", Form: "bytes", canon: number(1, 1<<20),
		}, func(_ *Machine, nic string) (knob.Knob, error) { return knob.LinkSize(nic, s.name) }))
	}
	parameter("adaptive-rx", "the driver chooses the receive interrupts' delay by the load", "on or off", onOff, "on", "off")
	parameter("adaptive-tx", "the driver chooses the transmit interrupts' delay by the load", "on or off", onOff)
	parameter("rx-usecs", "microseconds that an interrupt waits for more received frames: CPU time against latency", "microseconds", count, "8", "50")
	parameter("rx-frames", "received frames that make an interrupt at once", "a number of frames", count)
	parameter("tx-usecs", "microseconds that an interrupt waits for more sent frames", "microseconds", count)
	parameter("tx-frames", "sent frames that make an interrupt at once", "a number of frames", count)

	for _, f := range []struct {
		name, file, doc, form, source string
		remedies                      []string
	}{
		{"tx-queue-length", "tx_queue_len", "packets that a queueing discipline of the kind pfifo holds", "a number of packets", sourceNIC, nil},
		{"gro-flush-timeout", "gro_flush_timeout", "nanoseconds that GRO and deferred interrupts wait for more packets", "nanoseconds", sourceNAPI, []string{"20000"}},
		{"napi-defer-hard-irqs", "napi_defer_hard_irqs", "empty polls before interrupts are enabled again; needs gro-flush-timeout", "a number of polls", sourceNAPI, []string{"2"}},
	} {
		out = append(out, single(Definition{
			Scope: NIC, Name: f.name, Doc: f.doc, Source: f.source, Form: f.form, Remedies: f.remedies, canon: number(0, 1<<31-1),
		}, func(m *Machine, nic string) (knob.Knob, error) { return knob.NICNumber(m.Root, nic, f.file), nil }))
	}
	out = append(out,
		single(Definition{
			Scope: NIC, Name: "qdisc", Doc: "root queueing discipline, with the kernel's default parameters", Source: "Documentation/admin-guide/sysctl/net.rst",
			Form: "default, or a kind such as fq, fq_codel, pfifo", Remedies: []string{"fq"}, canon: word,
		}, func(_ *Machine, nic string) (knob.Knob, error) { return knob.Qdisc(nic), nil }),
		mapped(Definition{
			Scope: NIC, Name: "threaded-napi", Doc: "receive work runs in kernel threads, which the scheduler can place, not in softirq", Source: sourceNAPI,
			Form: "on or off", Remedies: []string{"on"}, canon: onOff,
		}, func(m *Machine, nic string) (knob.Knob, error) { return knob.ThreadedNAPI(m.Root, nic), nil },
			map[string]string{"on": "1", "off": "0"}),
	)
	return out
}

// harmless refuses what would lose more than can be put back, before anything is changed.
func harmless(d *Definition) *Definition {
	resolve := d.resolve
	d.resolve = func(m *Machine, nic, value string) ([]knob.Setting, error) {
		ss, err := resolve(m, nic, value)
		for _, s := range ss {
			if err == nil {
				err = knob.Harmless(s.Knob, s.Value)
			}
		}
		return ss, err
	}
	return d
}

// bounded refuses more than the driver says it can have, before anything is changed.
func bounded(d *Definition) *Definition {
	resolve := d.resolve
	d.resolve = func(m *Machine, nic, value string) ([]knob.Setting, error) {
		most, err := knob.EthtoolMax(nic, d.Name)
		if n, parseErr := strconv.ParseUint(value, 10, 64); err == nil && parseErr == nil && most > 0 && n > uint64(most) {
			return nil, fmt.Errorf("%w: %s: %s has at most %d", host.ErrInput, d.Name, nic, most)
		}
		return resolve(m, nic, value)
	}
	return d
}
