package tune

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// queue is the knobs that place the work of one queue of a NIC, most often
// one.
type queue []knob.Knob

// place is a setting that gives each queue of a NIC its CPUs.
type place struct {
	Definition
	words  []string
	queues func(m *Machine, nic string) ([]queue, error)
	none   string // why there may be no queue, and the mend
	mend   string
	mask   bool // the knobs take masks, and none is a value
}

// placeCatalogue is where a NIC's work runs.
func placeCatalogue() []*Definition {
	const lists = "or CPU lists, one a queue, divided by blanks (repeated where there are more queues)"
	return []*Definition{
		place{
			Definition: Definition{
				Scope: NIC, Name: "irq-affinity", Doc: "CPUs that take each queue's interrupts, and so do its receive work", Source: "Documentation/core-api/irq/irq-affinity.rst",
				Form: "spread (a CPU a queue), local (the same on the NIC's memory node), all, " + lists, Remedies: []string{"spread", "local"},
			},
			words: []string{"spread", "local", "all"}, queues: irqQueues,
			none: "it has no interrupt that can be steered", mend: "use threaded-napi and napi-cpus for NICs without interrupts",
		}.definition(irqScript),
		place{
			Definition: Definition{
				Scope: NIC, Name: "napi-cpus", Doc: "CPUs of the kernel threads that do each queue's receive work; needs threaded-napi", Source: sourceNAPI,
				Form: "spread (a CPU a queue), local (the same on the NIC's memory node), all, " + lists, Remedies: []string{"spread", "local"},
			},
			words: []string{"spread", "local", "all"}, queues: napiQueues,
			none: "its receive work runs in no kernel thread", mend: "set threaded-napi to on first (and the NIC up)",
		}.definition(napiScript),
		rfs(),
		place{
			Definition: Definition{
				Scope: NIC, Name: "rps", Doc: "CPUs over which each receive queue's packets are spread in software", Source: sourceScaling,
				Form: "off, all, local (all of the NIC's memory node), " + lists, Remedies: []string{"all", "off"},
			},
			words: []string{"off", "all", "local"}, mask: true,
			queues: sideQueues("rx", func(m *Machine, nic string, q int) knob.Knob { return knob.RPS(m.Root, nic, q) }),
			none:   "it has no receive queue",
		}.definition(nil),
		place{
			Definition: Definition{
				Scope: NIC, Name: "xps", Doc: "CPUs that send through each transmit queue", Source: sourceScaling,
				Form: "off, spread (CPUs dealt to the queues in turn), " + lists, Remedies: []string{"spread"},
			},
			words: []string{"off", "spread"}, mask: true,
			queues: sideQueues("tx", func(m *Machine, nic string, q int) knob.Knob { return knob.XPS(m.Root, nic, q) }),
			none:   "it has no transmit queue",
		}.definition(nil),
	}
}

func (p place) definition(emit func(*Machine, string, []knob.Setting) ([]string, error)) *Definition {
	d := p.Definition
	d.canon, d.read, d.resolve, d.emit = cpuLists(p.words...), p.read, p.resolve, emit
	return &d
}

func (p place) some(m *Machine, nic string) ([]queue, error) {
	qs, err := p.queues(m, nic)
	if err == nil && len(qs) == 0 {
		err = &host.NotSupportedError{What: p.Name + " of " + nic, Reason: p.none, Mend: p.mend}
	}
	return qs, err
}

func (p place) read(m *Machine, nic string) (string, error) {
	qs, err := p.some(m, nic)
	if err != nil {
		return "", err
	}
	var all []string
	for _, q := range qs {
		var each []string
		for _, k := range q {
			v, err := k.Read()
			if err != nil {
				return "", err
			}
			if p.mask {
				l, err := host.ParseCPUMask(v)
				if err != nil {
					return "", err
				}
				if v = l.String(); v == "" {
					v = "off"
				}
			}
			each = append(each, v)
		}
		all = append(all, fold(each, "|"))
	}
	return fold(all, " "), nil
}

func (p place) resolve(m *Machine, nic, value string) ([]knob.Setting, error) {
	qs, err := p.some(m, nic)
	if err != nil {
		return nil, err
	}
	lists, err := p.lists(m, nic, value, len(qs))
	if err != nil {
		return nil, err
	}
	if len(lists) > len(qs) {
		return nil, fmt.Errorf("%w: %s of %s: %d lists for %s", host.ErrInput, p.Name, nic, len(lists), queues(len(qs)))
	}
	var out []knob.Setting
	for i, q := range qs {
		each := strings.Split(lists[i%len(lists)], "|")
		if len(each) > len(q) {
			return nil, fmt.Errorf("%w: %s of %s: %q for a queue that has %d to place", host.ErrInput, p.Name, nic, lists[i%len(lists)], len(q))
		}
		for j, k := range q {
			v := each[j%len(each)]
			var l host.CPUList
			if v != "off" {
				if l, err = host.ParseCPUList(v); err != nil {
					return nil, err
				}
				if err := m.within(p.Name+" of "+nic, l); err != nil {
					return nil, err
				}
			}
			if v = l.String(); p.mask {
				v = l.Mask()
			}
			out = append(out, knob.Setting{Knob: k, Value: v})
		}
	}
	return out, nil
}

func queues(n int) string {
	if n == 1 {
		return "1 queue"
	}
	return fmt.Sprintf("%d queues", n)
}

// lists gives each of n queues its CPUs.
func (p place) lists(m *Machine, nic, value string, n int) ([]string, error) {
	node := -1
	switch value {
	case "off":
		return []string{"off"}, nil
	case "local":
		node = m.node(nic)
	case "spread", "all":
	default:
		return strings.Fields(value), nil
	}
	cpus, err := m.localCPUs(node)
	if err != nil {
		return nil, err
	}
	if value == "all" || (p.mask && value == "local") {
		return []string{cpus.String()}, nil
	}
	if p.mask {
		return deal(cpus, n), nil
	}
	// Several NICs continue where the one before ended.
	first := 0
	for _, other := range m.NICs {
		if other == nic {
			break
		}
		if value == "local" && m.node(other) != node {
			continue
		}
		qs, err := p.queues(m, other)
		if err != nil {
			return nil, err
		}
		first += len(qs)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = host.CPUs(cpus[(first+i)%len(cpus)]).String()
	}
	return out, nil
}

// deal gives every CPU to one of n queues in turn; where there are more queues than CPUs they
// share.
func deal(cpus host.CPUList, n int) []string {
	sets := make([][]int, n)
	for i := range max(n, len(cpus)) {
		sets[i%n] = append(sets[i%n], cpus[i%len(cpus)])
	}
	out := make([]string, n)
	for i, s := range sets {
		out[i] = host.CPUs(s...).String()
	}
	return out
}

// rfs is a number of flows, the same for every receive queue.
func rfs() *Definition {
	queues := sideQueues("rx", func(m *Machine, nic string, q int) knob.Knob { return knob.RFS(m.Root, nic, q) })
	return &Definition{
		Scope: NIC, Name: "rfs", Doc: "flows of each receive queue that follow their reader's CPU; needs net.core.rps_sock_flow_entries", Source: sourceScaling,
		Form: "a number of flows a queue, rounded up to a power of two; 0: off", Remedies: []string{"4096"},
		canon: func(v string) (string, error) {
			f := strings.Fields(v)
			for i := range f {
				n, err := number(0, 1<<30)(f[i])
				if err != nil {
					return "", err
				}
				f[i] = n
			}
			if len(f) == 0 {
				return "", fmt.Errorf("no number given")
			}
			return fold(f, " "), nil
		},
		read: func(m *Machine, nic string) (string, error) {
			qs, err := queues(m, nic)
			var all []string
			for _, q := range qs {
				v, err := q[0].Read()
				if err != nil {
					return "", err
				}
				all = append(all, v)
			}
			return fold(all, " "), err
		},
		resolve: func(m *Machine, nic, value string) ([]knob.Setting, error) {
			qs, err := queues(m, nic)
			f := strings.Fields(value)
			var out []knob.Setting
			for i, q := range qs {
				out = append(out, knob.Setting{Knob: q[0], Value: f[i%len(f)]})
			}
			return out, err
		},
	}
}
