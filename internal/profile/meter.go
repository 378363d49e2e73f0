package profile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// meter reads the kernel's own counters of some network namespaces, through one
// process in each.
type meter struct {
	proc  string
	inNet map[uint32]string // namespace's inode -> /proc/PID
}

// reading is the counters at one instant.
type reading struct {
	bytes    uint64            // received by IP
	counters map[string]uint64 // see machineCounters
}

// allNamespaces finds every network namespace that has a process which this user may
// look at.
func allNamespaces(proc string) (*meter, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	m := &meter{proc: proc, inNet: map[uint32]string{}}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			m.add(filepath.Join(proc, e.Name()))
		}
	}
	m.add(filepath.Join(proc, "self")) // one that lives as long as this does
	return m, nil
}

// namespacesOf is those of some processes.
func namespacesOf(proc string, pids []int) (*meter, error) {
	m := &meter{proc: proc, inNet: map[uint32]string{}}
	for _, pid := range pids {
		m.add(filepath.Join(proc, strconv.Itoa(pid)))
	}
	if len(m.inNet) == 0 {
		return nil, fmt.Errorf("processes %v: none of them has a network namespace to be seen", pids)
	}
	return m, nil
}

func (m *meter) add(dir string) {
	if ns, ok := namespaceOf(dir); ok {
		m.inNet[ns] = dir
	}
}

// has tells whether a process is in one of the namespaces.
func (m *meter) has(pid int) bool {
	ns, ok := namespaceOf(filepath.Join(m.proc, strconv.Itoa(pid)))
	return ok && m.inNet[ns] != ""
}

func namespaceOf(dir string) (uint32, bool) {
	link, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return 0, false
	}
	ns, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(link, "net:["), "]"), 10, 32)
	return uint32(ns), err == nil
}

// read adds up all namespaces. One whose process is gone meanwhile is dropped: what it
// carried is missing, so take processes that last.
func (m *meter) read() (reading, error) {
	r := reading{}
	for _, dir := range m.inNet {
		n, err := ipBytes(dir)
		if errors.Is(err, fs.ErrNotExist) || err != nil && strings.Contains(err.Error(), "invalid argument") {
			continue
		}
		if err != nil {
			return r, err
		}
		r.bytes += n
	}
	var err error
	r.counters, err = machineCounters(m.proc)
	return r, err
}

// ipBytes is what IPv4 and IPv6 received in a process's namespace: InOctets of
// /proc/PID/net/netstat and Ip6InOctets of net/snmp6, after GRO and before delivery.
func ipBytes(dir string) (uint64, error) {
	f, err := os.Open(filepath.Join(dir, "net", "netstat"))
	if err != nil {
		return 0, err
	}
	v4, err := field(f, "IpExt:", "InOctets")
	f.Close()
	if err != nil {
		return 0, err
	}
	f, err = os.Open(filepath.Join(dir, "net", "snmp6"))
	if errors.Is(err, fs.ErrNotExist) { // no IPv6
		return v4, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if w := strings.Fields(sc.Text()); len(w) == 2 && w[0] == "Ip6InOctets" {
			v6, err := strconv.ParseUint(w[1], 10, 64)
			return v4 + v6, err
		}
	}
	return v4, sc.Err()
}

// field finds a value in the pairs of lines of /proc/net/snmp and netstat.
func field(r io.Reader, group, name string) (uint64, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		names := strings.Fields(sc.Text())
		if !sc.Scan() {
			break
		}
		values := strings.Fields(sc.Text())
		if len(names) == 0 || names[0] != group || len(values) != len(names) {
			continue
		}
		for i, n := range names {
			if n == name {
				return strconv.ParseUint(values[i], 10, 64)
			}
		}
	}
	return 0, errors.Join(sc.Err(), fmt.Errorf("no %s %s among the kernel's counters", group, name))
}

// Names of machineCounters.
const (
	kernelSwitches = "stat.ctxt"
	kernelIRQs     = "interrupts.device"
	kernelPackets  = "softnet.processed"
)

// machineCounters reads what the kernel counts for the whole machine and anybody may
// read: softirqs by kind, interrupts by kind, context switches, packets.
func machineCounters(proc string) (map[string]uint64, error) {
	out := map[string]uint64{}
	for _, src := range []struct {
		file  string
		parse func(io.Reader, map[string]uint64) error
	}{
		{"softirqs", parseSoftirqs},
		{"stat", parseStat},
		{"interrupts", parseInterrupts},
		{"net/softnet_stat", host.ParseSoftnet},
	} {
		f, err := os.Open(filepath.Join(proc, src.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = src.parse(f, out)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src.file, err)
		}
	}
	return out, nil
}

// parseSoftirqs reads /proc/softirqs: a heading of CPUs, then "NET_RX: n n".
func parseSoftirqs(r io.Reader, out map[string]uint64) error {
	return eachRow(r, func(name string, sum uint64) {
		out["softirqs."+strings.ToLower(name)] = sum
	})
}

// parseInterrupts reads /proc/interrupts: rows with a number are devices', those with a
// name the machine's own (LOC, RES, CAL, ...).
func parseInterrupts(r io.Reader, out map[string]uint64) error {
	return eachRow(r, func(name string, sum uint64) {
		if _, err := strconv.Atoi(name); err == nil {
			out[kernelIRQs] += sum
			return
		}
		out["interrupts."+strings.ToLower(name)] = sum
	})
}

// eachRow reads "name: n n n rest".
func eachRow(r io.Reader, f func(name string, sum uint64)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		name, rest, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			continue // the heading
		}
		var sum uint64
		for _, w := range strings.Fields(rest) {
			n, err := strconv.ParseUint(w, 10, 64)
			if err != nil {
				break
			}
			sum += n
		}
		f(strings.TrimSpace(name), sum)
	}
	return sc.Err()
}

func parseStat(r io.Reader, out map[string]uint64) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if w := strings.Fields(sc.Text()); len(w) == 2 && w[0] == "ctxt" {
			n, err := strconv.ParseUint(w[1], 10, 64)
			if err != nil {
				return err
			}
			out[kernelSwitches] = n
		}
	}
	return sc.Err()
}
