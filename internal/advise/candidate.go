package advise

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// Candidates are the remedies that this machine can have, those linked to causes first, in
// the order of the causes; and what was left out.
func Candidates(e *Evidence, causes []Cause, p Place) (out []Remedy, left []Untested) {
	add := func(r Remedy) {
		if !slices.ContainsFunc(out, func(o Remedy) bool { return o.Name == r.Name }) {
			out = append(out, r)
		}
	}
	for _, r := range p.placements(e, causes) {
		add(r)
	}
	for _, name := range settingsOf(e.Server) {
		r, why := p.server(e, name, causes)
		if why != "" {
			left = append(left, Untested{name, why})
		}
		if r != nil {
			add(*r)
		}
	}
	rs, more := p.client(e, causes)
	for _, r := range rs {
		add(r)
	}
	left = append(left, more...)
	rank := func(r Remedy) int {
		for i, c := range causes {
			if n := slices.Index(r.For, c.Name); n >= 0 {
				return i
			}
		}
		return len(causes)
	}
	slices.SortStableFunc(out, func(a, b Remedy) int { return rank(a) - rank(b) })
	return out, left
}

// settingsOf are the names of settings, each once.
func settingsOf(all []Setting) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s.Setting) {
			out = append(out, s.Setting)
		}
	}
	return out
}

// server is the remedy that a setting of the server makes, nil where there is none, and why
// not where somebody might look for it.
func (p Place) server(e *Evidence, name string, causes []Cause) (*Remedy, string) {
	var value, doc, lacking string
	var scope tune.Scope
	for _, s := range e.Server {
		if s.Setting != name {
			continue
		}
		doc, scope = s.Doc, s.Scope
		if s.NotSupported != "" {
			lacking = s.NotSupported
		}
		if name == "mtu" {
			s.Candidates = p.mtu(s.Value)
		}
		if value == "" && len(s.Candidates) > 0 {
			value = s.Candidates[0]
		}
	}
	if n, err := strconv.Atoi(value); name == "mtu" && err == nil && p.Hosts && !p.Jumbo {
		return nil, fmt.Sprintf("whether the path and the peer carry %d bytes is not known: raise the MTU at both ends, or let it be tried with --jumbo", n)
	}
	if value == "" {
		if lacking != "" && len(linkedTo(name, causes)) > 0 {
			return nil, "can't be had: " + lacking
		}
		return nil, ""
	}
	if why, ok := beside[name]; ok {
		return nil, why
	}
	if !p.Hosts && (name == "tso" || name == "gso") {
		return nil, "the rig's frames would not be those of a wire"
	}
	values := append(slices.Clone(companions[name]), Value{name, value})
	r := &Remedy{Name: name + "=" + value, Doc: doc, Levels: experiment.Levels{}, For: linkedTo(name, causes), Settings: values}
	for _, v := range values {
		r.Levels[experiment.TunePrefix+v.Setting] = v.Value
	}
	nics := p.NICs
	if scope != tune.NIC {
		nics = nil
	}
	r.Commands = []string{tuneCommand(values, nics)}
	if name == "mtu" {
		r.Peer = "the other end of the link, and whatever is between, must have the same MTU: set it there first"
		r.Commands = append(r.Commands, "ip link set NIC mtu "+value+"   # at the peer")
	}
	return r, ""
}

// mtu is what is worth trying beside an MTU: Ethernet's own where it is smaller, and jumbo
// frames where they are asked for, or partly there.
func (p Place) mtu(now string) []string {
	n, err := strconv.Atoi(now)
	switch {
	case err != nil:
		return nil
	case n < ethernetMTU:
		return []string{strconv.Itoa(ethernetMTU)}
	case p.Jumbo && n < jumboMTU:
		return []string{strconv.Itoa(jumboMTU)}
	}
	return nil
}

const jumboMTU = 9000

// client are the remedies at the sender's end: those that a cause asks for, and only where the
// rig owns it.
func (p Place) client(e *Evidence, causes []Cause) (out []Remedy, left []Untested) {
	for _, c := range causes {
		for _, name := range links[c.Name] {
			name, ok := strings.CutPrefix(name, experiment.ClientPrefix)
			if !ok {
				continue
			}
			if p.Hosts {
				left = append(left, Untested{name + " of the peer", "the peer's settings are not ours to change: try it there"})
				continue
			}
			for _, s := range e.Client {
				if s.Setting != name || s.NotSupported != "" || len(s.Candidates) == 0 {
					continue
				}
				out = append(out, Remedy{
					Name: experiment.ClientPrefix + name + "=" + s.Candidates[0], Doc: s.Doc + " (at the sender)", For: []string{c.Name},
					Levels:   experiment.Levels{experiment.ClientPrefix + name: s.Candidates[0]},
					Commands: []string{tuneCommand([]Value{{name, s.Candidates[0]}}, senderNICs(e, s.Target)) + "   # at the sender"},
					Peer:     "it is a setting of the sender",
				})
				break
			}
		}
	}
	return out, left
}

func senderNICs(e *Evidence, target string) []string {
	if target == "" {
		return nil
	}
	var out []string
	for _, n := range e.NICs {
		if n.SenderNIC != "" {
			out = append(out, n.SenderNIC)
		}
	}
	return out
}

// placements are where receive work and readers run.
func (p Place) placements(e *Evidence, causes []Cause) []Remedy {
	const both, process = string(experiment.AffinityBoth), string(experiment.AffinityProcess)
	// That NIC i's work and readers are on the i-th CPU already is nothing to try.
	together := len(e.NICs) > 0
	for _, n := range e.NICs {
		together = together && n.WorkCPUs != "" && n.WorkCPUs == n.ReaderCPUs
	}
	// Where the readers are pinned as found, moving the receive work to them is a setting like others.
	if together || len(e.CPUs) < 2 || p.Base["affinity"] == process {
		return nil
	}
	out := []Remedy{{
		Name: "placement=" + process, Doc: "the process that reads from each NIC on a CPU of its own, its receive work as found",
		Levels: experiment.Levels{"affinity": process}, Commands: p.pinReaders(e),
	}}
	if slices.ContainsFunc(e.NICs, func(n NIC) bool { return n.WorkCPUs == "" }) {
		return out
	}
	// The one that changes more comes last: where both are there it is in force.
	return append(out, Remedy{
		Name: "placement=" + both, Doc: "receive work of each NIC and the process that reads from it on one CPU, another for each NIC",
		Levels: experiment.Levels{"affinity": both}, For: linkedTo("placement", causes),
		Commands: slices.Concat(p.pinWork(e), p.pinReaders(e)),
	})
}

// cpu is where a trial has the i-th NIC: its first CPUs in use, round about.
func (e *Evidence) cpu(i int) int { return e.CPUs[i%len(e.CPUs)].CPU }

// pinWork are the commands by which all receive work of each NIC is on the CPU where the trial had it.
func (p Place) pinWork(e *Evidence) (out []string) {
	for i, n := range p.NICs {
		cpu := strconv.Itoa(e.cpu(i))
		values := []Value{{"irq-affinity", cpu}}
		if !p.Hosts { // veth has no interrupts: its NAPI threads are placed
			values = []Value{{"threaded-napi", "on"}, {"napi-cpus", cpu}}
		}
		out = append(out, tuneCommand(values, []string{n}))
	}
	return out
}

// pinReaders are those of the processes.
func (p Place) pinReaders(e *Evidence) (out []string) {
	for i, n := range p.NICs {
		out = append(out, fmt.Sprintf("taskset -cp %d PID   # the process that reads from %s", e.cpu(i), n))
	}
	return out
}
