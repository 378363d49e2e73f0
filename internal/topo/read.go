package topo

import (
	"fmt"
	"io/fs"
	"runtime"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Read reads a captured tree. The error says that it is none; what is wrong in parts of it
// is in the machine's warnings.
func Read(t Tree) (*Machine, error) {
	m, err := read(&reader{tree: t}, readAnswers)
	if err != nil {
		return nil, err
	}
	m.Captured = true
	return m, nil
}

// Live reads this machine, in the network namespace of the calling thread.
func Live() (*Machine, error) {
	m, _, err := live(false)
	return m, err
}

// Capture reads this machine and returns it with a tree of all that was read and nothing
// else: the files named below "proc" and "sys" (of /proc/interrupts the NICs' lines, of
// /proc/cpuinfo the first CPU's model), and the answers about each NIC as JSON in
// stackmeter/nic. It has no addresses, host names, serial numbers or RSS keys; it has the names of
// interfaces.
func Capture() (*Machine, *Memory, error) { return live(true) }

func live(keep bool) (*Machine, *Memory, error) {
	root, done, warning, err := ownSysfs()
	if err != nil {
		return nil, nil, err
	}
	defer done()
	r := &reader{tree: liveTree{root}}
	if warning != nil {
		r.warnings = append(r.warnings, *warning)
	}
	if keep {
		r.keep = &Memory{}
	}
	m, err := read(r, askKernel(root))
	if err != nil {
		return nil, nil, err
	}
	m.Architecture = runtime.GOARCH
	return m, r.keep, nil
}

// ownSysfs is a root whose sysfs shows the NICs of the calling thread's network
// namespace: the one that is mounted, or where that shows another's, one of our own until
// done. Without the right to mount, a warning tells what is amiss.
func ownSysfs() (root host.Root, done func(), warning *Warning, err error) {
	root, done = host.Live(), func() {}
	if root.CheckNICs() == nil {
		return root, done, nil, nil
	}
	dir, err := sysx.Sysfs()
	if err != nil {
		return root, done, &Warning{netDir, fmt.Sprintf("shows the NICs of another network namespace, and mounting sysfs anew failed: %v; run it as root, or in a fresh mount namespace", err)}, nil
	}
	root.Sys = fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	return root, func() { _ = dir.Close() }, nil, nil
}

func read(r *reader, ask asker) (*Machine, error) {
	m := &Machine{
		Schema: SchemaVersion, CPUs: []CPU{}, Caches: []Cache{}, Nodes: []Node{}, PCI: []PCIDevice{}, NICs: []NIC{}, Judgements: []Judgement{},
	}
	r.identity(m)
	if err := r.processors(m); err != nil {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	r.nics(m, ask)
	m.judge()
	m.Warnings = append([]Warning{}, r.warnings...)
	return m, nil
}
