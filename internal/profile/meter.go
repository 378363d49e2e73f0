package profile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// meter reads the kernel's own counters of some network namespaces. It holds their
// files open: these stay readable when the process is gone through which they were found.
type meter struct {
	proc  string
	all   bool                  // of the machine, those made meanwhile included: see look
	inNet map[uint32]*namespace // by inode
	buf   []byte
}

// namespace is the files of one network namespace.
type namespace struct {
	netstat *os.File
	snmp6   *os.File          // nil: no IPv6
	nics    map[uint32]string // by index, those with IPv4
}

// reading is the counters at one instant.
type reading struct {
	bytes    uint64            // received by IP
	counters map[string]uint64 // see machineCounters
}

// allNamespaces finds every network namespace that has a process which this user may
// look at.
func allNamespaces(proc string) (*meter, error) {
	m := &meter{proc: proc, all: true, inNet: map[uint32]*namespace{}}
	return m, m.look()
}

// look takes in the network namespaces and NICs that were made since the last look, where the
// meter is of all. What is gone is kept with what it had counted. It must not lie between two
// readings that are compared.
func (m *meter) look() error {
	if !m.all {
		return nil
	}
	entries, err := os.ReadDir(m.proc)
	if err != nil {
		return err
	}
	seen := map[uint32]bool{}
	m.add(filepath.Join(m.proc, "self"), seen)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			m.add(filepath.Join(m.proc, e.Name()), seen)
		}
	}
	return nil
}

// namespacesOf is those of some processes.
func namespacesOf(proc string, pids []int) (*meter, error) {
	m := &meter{proc: proc, inNet: map[uint32]*namespace{}}
	seen := map[uint32]bool{}
	for _, pid := range pids {
		m.add(filepath.Join(proc, strconv.Itoa(pid)), seen)
	}
	if len(m.inNet) == 0 {
		return nil, fmt.Errorf("processes %v: none of them has a network namespace to be seen", pids)
	}
	return m, nil
}

// add opens a process's namespace, unless it is gone or was seen; of one that is open it looks for
// new NICs.
func (m *meter) add(dir string, seen map[uint32]bool) {
	inode, ok := namespaceOf(dir)
	if !ok || seen[inode] {
		return
	}
	seen[inode] = true
	if n := m.inNet[inode]; n != nil {
		maps.Copy(n.nics, nicNames(dir))
		return
	}
	f, err := os.Open(filepath.Join(dir, "net", "netstat"))
	if err != nil {
		return
	}
	n := &namespace{netstat: f, nics: nicNames(dir)}
	if f, err := os.Open(filepath.Join(dir, "net", "snmp6")); err == nil {
		n.snmp6 = f
	}
	m.inNet[inode] = n
}

func (m *meter) close() error {
	var errs []error
	for _, n := range m.inNet {
		errs = append(errs, n.netstat.Close())
		if n.snmp6 != nil {
			errs = append(errs, n.snmp6.Close())
		}
	}
	m.inNet = nil
	return errors.Join(errs...)
}

// has tells whether a process is in one of the namespaces.
func (m *meter) has(pid int) bool {
	inode, ok := namespaceOf(filepath.Join(m.proc, strconv.Itoa(pid)))
	return ok && m.inNet[inode] != nil
}

func namespaceOf(dir string) (uint32, bool) {
	link, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return 0, false
	}
	ns, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(link, "net:["), "]"), 10, 32)
	return uint32(ns), err == nil
}

// read adds up all namespaces.
func (m *meter) read() (reading, error) {
	r := reading{}
	for _, n := range m.inNet {
		b, err := m.bytes(n)
		if err != nil {
			return r, err
		}
		r.bytes += b
	}
	var err error
	r.counters, err = machineCounters(m.proc)
	return r, err
}

// bytes is what IPv4 and IPv6 received in a namespace: InOctets of net/netstat and
// Ip6InOctets of net/snmp6, after GRO and before delivery.
func (m *meter) bytes(n *namespace) (uint64, error) {
	text, err := m.again(n.netstat)
	if err != nil {
		return 0, err
	}
	v4, err := field(text, "IpExt:", "InOctets")
	if err != nil || n.snmp6 == nil {
		return v4, err
	}
	if text, err = m.again(n.snmp6); err != nil {
		return 0, err
	}
	sc := bufio.NewScanner(text)
	for sc.Scan() {
		if w := strings.Fields(sc.Text()); len(w) == 2 && w[0] == "Ip6InOctets" {
			v6, err := strconv.ParseUint(w[1], 10, 64)
			return v4 + v6, err
		}
	}
	return v4, sc.Err()
}

// again reads a file of procfs from its start, which has the kernel write it anew.
func (m *meter) again(f *os.File) (io.Reader, error) {
	if m.buf == nil {
		m.buf = make([]byte, 256<<10)
	}
	n, err := f.ReadAt(m.buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return bytes.NewReader(m.buf[:n]), nil
}

// nicNames are the NICs of a process's namespace by the list of multicast groups
// (net/igmp), which tells index and name of each with IPv4.
func nicNames(dir string) map[uint32]string {
	out := map[uint32]string{}
	f, err := os.Open(filepath.Join(dir, "net", "igmp"))
	if err != nil {
		return out
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		w := strings.Fields(sc.Text())
		if len(w) < 3 || strings.HasPrefix(sc.Text(), "\t") {
			continue // the heading, or a group
		}
		if index, err := strconv.ParseUint(w[0], 10, 32); err == nil {
			out[uint32(index)] = strings.TrimSuffix(w[1], ":")
		}
	}
	return out
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
