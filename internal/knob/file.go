package knob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// file is a setting that is a file of procfs or sysfs.
type file struct {
	info  Info
	path  string
	shown string                       // path for a shell of the same namespace
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

func (f *file) Command(v string) string {
	return fmt.Sprintf("echo %s > %s", quote(v), shellWord(f.shown))
}

// at gives a file its path below root.
func at(root host.Root, shown string, f file) Knob {
	f.path, f.shown = rooted(root, shown), shown
	return &f
}

// ours makes sure that the NIC in sysfs is that of the calling thread's namespace.
func ours(root host.Root, nic string) func() error {
	if !root.IsLive() {
		return nil
	}
	return func() error { return root.CheckNIC(nic) }
}

// writeFile writes in one system call and creates nothing. It truncates, as a
// shell's redirection does: to the kernel that is nothing, in a captured tree it matters.
func writeFile(path, v string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
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

// shellWord quotes what a shell would not take as one plain word: NICs may be named "a;b".
func shellWord(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._:@%+,-", c)
	}
	if s != "" && !strings.HasPrefix(s, "-") && !strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return s
	}
	return quote(s)
}

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
	return at(root, path, file{info: Info{
		Kind: "file", Key: path, Name: name, Target: "machine", Mechanism: path, Doc: doc,
		InNetNS: strings.HasPrefix(path, "/sys/class/net/") || strings.HasPrefix(path, "/proc/sys/net/"),
	}})
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

// List is a file that holds a CPU list or a list of memory nodes, such as a cgroup's
// cpuset.cpus. path is absolute.
func List(root host.Root, path string) Knob {
	return at(root, path, file{info: Info{Kind: "cpulist", Key: path, Name: "cpus", Target: path, Mechanism: path}, canon: canonList})
}

func openList(root host.Root, path string) (Knob, error) { return List(root, path), nil }

// IRQ is the CPUs to which an interrupt may go, as a list. Whether it does is
// known at the next interrupt only: see [Effective].
func IRQ(root host.Root, irq int) Knob {
	n := strconv.Itoa(irq)
	return at(root, "/proc/irq/"+n+"/smp_affinity_list", file{info: Info{
		Kind: "irq", Key: n, Name: "irq-affinity", Target: "irq" + n, Mechanism: "smp_affinity_list",
		Doc: "CPUs to which the interrupt may go",
	}, canon: canonSome})
}

func openIRQ(r host.Root, key string) (Knob, error) {
	n, err := strconv.Atoi(key)
	return IRQ(r, n), err
}

// Effective checks, once traffic flows, that an interrupt goes to CPUs of want
// only. It is nil on kernels that don't tell. An interrupt that has not come since it was steered
// may still tell the CPU of before: most controllers move it when it comes.
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

// Path is the absolute path of the file that a knob is; "" where it is none.
func Path(k Knob) string {
	switch f := bare(k).(type) {
	case *file:
		return f.shown
	case *mtu:
		return f.shown
	}
	return ""
}

func (f *file) writable() error {
	err := unix.Faccessat(unix.AT_FDCWD, f.path, unix.W_OK, unix.AT_EACCESS)
	n := &host.NotSupportedError{What: "set " + f.info.Name + " of " + f.info.Target}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		n.Reason, n.Mend = "its file system is read-only here, as in containers", "run on the host, or mount it writable"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0:
		n.Reason, n.Mend = "the kernel lets it be written in the machine's own namespaces only", "run on the host"
	case errors.Is(err, fs.ErrPermission):
		n.Reason, n.Mend = "this user may not", "run as root"
	default:
		return fmt.Errorf("%s of %s: %w", f.info.Name, f.info.Target, err)
	}
	return n
}
