package knob

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// file is a setting that is a file of procfs or sysfs.
type file struct {
	info  Info
	path  string
	check func() error                 // before a write; nil: none
	canon func(string) (string, error) // nil: the text without white space around it
}

func (f *file) Info() Info { return f.info }

func (f *file) Canonical(v string) (string, error) {
	v = strings.TrimSpace(v)
	if f.canon == nil {
		return v, nil
	}
	c, err := f.canon(v)
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", f.info.Name, f.info.Target, err)
	}
	return c, nil
}

func (f *file) Read() (string, error) {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return "", err
	}
	return f.Canonical(string(b))
}

func (f *file) Write(v string) error {
	if f.check != nil {
		if err := f.check(); err != nil {
			return err
		}
	}
	return writeFile(f.path, v)
}

func (f *file) Command(v string) string { return fmt.Sprintf("echo %s > %s", quote(v), f.path) }

// ours makes sure that the NIC in sysfs is that of the calling thread's namespace.
func ours(root host.Root, nic string) func() error {
	if !root.IsLive() {
		return nil
	}
	return func() error { return root.CheckNIC(nic) }
}

// writeFile writes in one system call and creates nothing.
func writeFile(path, v string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if v == "" {
		v = "\n" // a write of no bytes never reaches the kernel's handler
	}
	_, err = f.WriteString(v)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func canonNumber(v string) (string, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is not a number", v)
	}
	return strconv.FormatInt(n, 10), nil
}

func canonList(v string) (string, error) {
	l, err := host.ParseCPUList(v)
	return l.String(), err
}

// canonSome refuses the empty set, as the kernel does.
func canonSome(v string) (string, error) {
	l, err := canonList(v)
	if err == nil && l == "" {
		err = fmt.Errorf("no CPU given")
	}
	return l, err
}

// canonMask takes a mask, with or without 0x before it, and gives it in its
// shortest form.
func canonMask(v string) (string, error) {
	l, err := host.ParseCPUMask(strings.TrimPrefix(v, "0x"))
	return l.Mask(), err
}

// File is any setting in procfs or sysfs whose value reads as it was written.
// path is absolute; paths below /sys and /proc follow the root.
func File(root host.Root, path, name, doc string) Knob {
	return &file{info: Info{
		Kind: "file", Key: path, Name: name, Target: "machine", Mechanism: path, Doc: doc,
		InNetNS: strings.HasPrefix(path, "/sys/class/net/") || strings.HasPrefix(path, "/proc/sys/net/"),
	}, path: rooted(root, path)}
}

func rooted(root host.Root, path string) string {
	if rest, ok := strings.CutPrefix(path, "/sys/"); ok {
		return filepath.Join(root.Sys, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/proc/"); ok {
		return filepath.Join(root.Proc, rest)
	}
	return path
}

func openFile(root host.Root, path string) (Knob, error) { return File(root, path, path, ""), nil }

// list is a file that holds a CPU list, such as cpuset.cpus.
func list(root host.Root, path string) Knob {
	return &file{info: Info{Kind: "cpulist", Key: path, Name: "cpus", Target: path, Mechanism: path}, path: rooted(root, path), canon: canonList}
}

func openList(root host.Root, path string) (Knob, error) { return list(root, path), nil }

// MTU is a NIC's largest packet, in bytes without the link header.
func MTU(root host.Root, nic string) Knob {
	return &file{info: Info{
		Kind: "mtu", Key: nic, Name: "mtu", Target: nic, Mechanism: "sysfs mtu", InNetNS: true,
		Doc: "largest packet of the NIC, bytes",
	}, check: ours(root, nic), path: filepath.Join(root.NICDir(nic), "mtu"), canon: canonNumber}
}

// ThreadedNAPI moves a NIC's receive work from softirq to kernel threads, one per
// NAPI instance (Linux 5.12): "0" or "1". The threads are made by "1" and ended by "0".
func ThreadedNAPI(root host.Root, nic string) Knob {
	return &file{info: Info{
		Kind: "threaded", Key: nic, Name: "threaded-napi", Target: nic, Mechanism: "sysfs threaded", InNetNS: true,
		Doc: "receive work in kernel threads instead of softirq",
	}, check: ours(root, nic), path: filepath.Join(root.NICDir(nic), "threaded"), canon: canonNumber}
}

// RPS is the set of CPUs over which a receive queue's packets are spread in
// software, as a mask ("0" for off). queue counts from 0.
func RPS(root host.Root, nic string, queue int) Knob { return steering(root, "rps", "rx", nic, queue) }

// XPS is the set of CPUs that send through a transmit queue, as a mask.
func XPS(root host.Root, nic string, queue int) Knob { return steering(root, "xps", "tx", nic, queue) }

func steering(root host.Root, kind, side, nic string, queue int) Knob {
	key := fmt.Sprintf("%s/%d", nic, queue)
	return &file{
		info: Info{
			Kind: kind, Key: key, Name: kind, Target: fmt.Sprintf("%s/%s-%d", nic, side, queue),
			Mechanism: kind + "_cpus", InNetNS: true, Doc: "CPUs of the queue, as a mask",
		},
		check: ours(root, nic), path: filepath.Join(root.NICDir(nic), "queues", fmt.Sprintf("%s-%d", side, queue), kind+"_cpus"), canon: canonMask,
	}
}

func openRPS(r host.Root, key string) (Knob, error) { return openQueue(r, key, RPS) }
func openXPS(r host.Root, key string) (Knob, error) { return openQueue(r, key, XPS) }

func openQueue(r host.Root, key string, f func(host.Root, string, int) Knob) (Knob, error) {
	i := strings.LastIndexByte(key, '/')
	q, err := strconv.Atoi(key[i+1:])
	if i < 0 || err != nil {
		return nil, fmt.Errorf("%q is no NIC/QUEUE", key)
	}
	return f(r, key[:i], q), nil
}

// IRQ is the CPUs to which an interrupt may go, as a list. Whether it does is
// known at the next interrupt only: see [Effective].
func IRQ(root host.Root, irq int) Knob {
	n := strconv.Itoa(irq)
	return &file{info: Info{
		Kind: "irq", Key: n, Name: "irq-affinity", Target: "irq" + n, Mechanism: "smp_affinity_list",
		Doc: "CPUs to which the interrupt may go",
	}, path: filepath.Join(root.Proc, "irq", n, "smp_affinity_list"), canon: canonSome}
}

func openIRQ(r host.Root, key string) (Knob, error) {
	n, err := strconv.Atoi(key)
	return IRQ(r, n), err
}

// Effective checks, once traffic flows, that an interrupt goes to CPUs of want
// only. It is nil on kernels that don't tell.
func Effective(root host.Root, irq int, want host.CPUList) error {
	_, effective, err := root.IRQAffinity(irq)
	if err != nil {
		return err
	}
	if out := effective.Without(want); len(out) > 0 {
		return &NotInForceError{Info{Name: "effective irq-affinity", Target: fmt.Sprintf("irq%d", irq)}, want.String(), effective.String()}
	}
	return nil
}
