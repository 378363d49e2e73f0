package knob

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// disturbed lists the settings that the kernel may change by itself when a knob goes
// from old to want, with their values.
func disturbed(root host.Root, of Info, old, want string) ([]*entry, error) {
	nic, name, _ := strings.Cut(of.Key, "/")
	switch {
	case of.Kind == "cpus":
		return bystanders(root, old, want)
	case of.Kind == "ethtool" && strings.HasSuffix(name, "-channels"):
		// Drivers may fill the RSS table anew.
		return note(append(queueKnobs(root, nic), RSS(nic)))
	case of.Kind == "mtu" && endsIPv6(old, want):
		return note(ipv6Confs(root, nic))
	case of.Kind == "qdisc":
		// qdisc_create in net/sched/sch_api.c gives a NIC without a queue a length of 1000.
		return note([]Knob{NICNumber(root, of.Key, "tx_queue_len")})
	case of.Kind == "linksize" && !strings.Contains(name, "ipv4"):
		k, err := LinkSize(nic, name[:3]+"-ipv4-max-size")
		if err != nil {
			return nil, err
		}
		return note([]Knob{k})
	}
	return nil, nil
}

// queueKnobs are the settings of a NIC's queues and interrupts.
func queueKnobs(root host.Root, nic string) []Knob {
	var ks []Knob
	if irqs, err := root.NICIRQs(nic); err == nil {
		for _, i := range irqs {
			ks = append(ks, IRQ(root, i.IRQ))
		}
	}
	queues, _ := os.ReadDir(filepath.Join(root.NICDir(nic), "queues"))
	for _, e := range queues {
		side, number, _ := strings.Cut(e.Name(), "-")
		q, err := strconv.Atoi(number)
		switch {
		case err != nil:
		case side == "rx":
			ks = append(ks, RPS(root, nic, q), RFS(root, nic, q))
		default:
			ks = append(ks, XPS(root, nic, q))
		}
	}
	return ks
}

// note makes entries of the knobs' present values; what is gone or not set is left
// out.
func note(ks []Knob) ([]*entry, error) {
	var es []*entry
	for _, k := range ks {
		v, err := k.Read()
		if err != nil || v == "" {
			continue
		}
		i := k.Info()
		p, err := placeOf(i)
		if err != nil {
			return nil, err
		}
		es = append(es, &entry{Type: "bystander", Kind: i.Kind, Key: i.Key, Name: i.Name, Target: i.Target, Old: v, place: p})
	}
	return es, nil
}
