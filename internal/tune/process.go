package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

func processCatalogue() []*Definition {
	return []*Definition{{
		Scope: Process, Name: "affinity", Doc: "CPUs on which all threads of the process may run", Source: "sched_setaffinity(2)",
		Form: "all, local (those of the NICs' memory nodes), or a CPU list", Remedies: []string{"local"},
		canon: cpuLists("all", "local"), read: readAffinity, resolve: resolveAffinity, emit: affinityScript,
	}}
}

// threads are the knobs of all threads of a process. Those that it makes later
// inherit.
func threads(m *Machine, spec string) ([]knob.Knob, error) {
	pids, err := m.pids(spec)
	if err != nil {
		return nil, err
	}
	var out []knob.Knob
	for _, pid := range pids {
		entries, err := os.ReadDir(filepath.Join(m.Root.Proc, strconv.Itoa(pid), "task"))
		if err != nil {
			continue // it ended
		}
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			if t, err := m.Root.Task(tid); err == nil && !m.Root.BoundToCPU(tid) {
				out = append(out, knob.As(knob.Thread(m.Root, t), "affinity", fmt.Sprintf("%s thread %d", spec, tid), "sched_setaffinity"))
			}
		}
	}
	if out == nil {
		return nil, &host.NotSupportedError{What: "affinity of " + spec, Reason: "it has no thread that may be moved", Mend: "start it first"}
	}
	return out, nil
}

func readAffinity(m *Machine, spec string) (string, error) {
	ks, err := threads(m, spec)
	if err != nil {
		return "", err
	}
	var all []string
	for _, k := range ks {
		if v, err := k.Read(); err == nil {
			all = append(all, v)
		}
	}
	v := fold(all, " ")
	if len(strings.Fields(v)) > 1 {
		v = "its threads differ"
	}
	return v, nil
}

func resolveAffinity(m *Machine, spec, value string) ([]knob.Setting, error) {
	ks, err := threads(m, spec)
	if err != nil {
		return nil, err
	}
	var cpus host.CPUList
	switch value {
	case "all":
		cpus, err = m.cpus()
	case "local":
		cpus, err = m.localToNICs("affinity")
	default:
		if cpus, err = host.ParseCPUList(value); err == nil {
			err = m.within("affinity of "+spec, cpus)
		}
	}
	if err != nil {
		return nil, err
	}
	var out []knob.Setting
	for _, k := range ks {
		out = append(out, knob.Setting{Knob: k, Value: cpus.String()})
	}
	return out, nil
}

// localToNICs are the CPUs of the memory nodes of all NICs handed over.
func (m *Machine) localToNICs(what string) (host.CPUList, error) {
	if len(m.NICs) == 0 {
		return nil, fmt.Errorf("%w: %s: local is by the NICs' memory nodes, and no NIC was handed over; give --nic NIC", host.ErrInput, what)
	}
	nodes, without := m.nodes()
	if without != "" || len(nodes) == 0 {
		return m.localCPUs(-1)
	}
	var cpus []int
	for _, n := range nodes {
		l, err := m.localCPUs(n)
		if err != nil {
			return nil, err
		}
		cpus = append(cpus, l...)
	}
	return host.CPUs(cpus...), nil
}

const sourceCpuset = "Documentation/admin-guide/cgroup-v2.rst"

func cgroupCatalogue() []*Definition {
	file := func(name, file string) func(m *Machine, dir string) (knob.Knob, error) {
		return func(m *Machine, dir string) (knob.Knob, error) {
			return knob.As(knob.List(m.Root, dir+"/"+file), name, dir, file), nil
		}
	}
	cpus, mems := file("cpus", "cpuset.cpus"), file("memory-nodes", "cpuset.mems")
	return []*Definition{
		cpuset(Definition{
			Scope: Cgroup, Name: "cpus", Doc: "CPUs on which the cgroup's tasks may run", Source: sourceCpuset,
			Form: "local (those of the NICs' memory nodes), or a CPU list", canon: cpuLists("local"),
		}, cpus, func(m *Machine, value string) (string, error) {
			if value == "local" {
				l, err := m.localToNICs("cpus")
				return l.String(), err
			}
			l, err := host.ParseCPUList(value)
			if err == nil {
				err = m.within("cpus", l)
			}
			return l.String(), err
		}),
		cpuset(Definition{
			Scope: Cgroup, Name: "memory-nodes", Doc: "memory nodes from which the cgroup's tasks get memory", Source: sourceCpuset,
			Form: "local (those of the NICs), or a list of nodes", canon: cpuLists("local"),
		}, mems, func(m *Machine, value string) (string, error) {
			if value != "local" {
				return value, nil
			}
			nodes, without := m.nodes()
			if without != "" || len(nodes) == 0 {
				return "", &host.NotSupportedError{What: "memory-nodes: local", Reason: "the firmware tells no memory node of the NICs", Mend: "name the nodes"}
			}
			return nodes.String(), nil
		}),
	}
}

func cpuset(d Definition, k func(*Machine, string) (knob.Knob, error), mean func(*Machine, string) (string, error)) *Definition {
	def := single(d, k)
	def.resolve = func(m *Machine, dir, value string) ([]knob.Setting, error) {
		k, err := k(m, dir)
		if err != nil {
			return nil, err
		}
		if _, err := k.Read(); err != nil {
			return nil, err
		}
		v, err := mean(m, value)
		return []knob.Setting{{Knob: k, Value: v}}, err
	}
	return def
}
