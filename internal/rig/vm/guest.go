package vm

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// GuestRole is the role of a guest's init, given on the kernel's command line.
const GuestRole = "vm-guest"

// Inside is the environment variable that is set in a guest, to its accelerator.
const Inside = "STACKMETER_IN_GUEST"

// InsideAccel is the accelerator of the guest that this process runs in, "" where it runs in none
// that this package made.
func InsideAccel() Accel { return Accel(os.Getenv(Inside)) }

// Guest is the main function of GuestRole. As the first process it must not return: it powers
// the guest off.
func Guest() int {
	if os.Getpid() != 1 {
		fmt.Fprintf(os.Stderr, "%s: this role is for the first process of a guest\n", GuestRole)
		return 2
	}
	err := initialise()
	if err == nil {
		err = serve()
	}
	if err != nil {
		fmt.Println("stackmeter:", err) // the console
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// mounts are a guest's; those that its kernel hasn't got are left out where they are optional.
var mounts = []struct {
	kind, dir string
	optional  bool
}{
	{"proc", "/proc", false},
	{"sysfs", "/sys", false},
	{"devtmpfs", "/dev", false},
	{"tmpfs", "/tmp", false},
	{"tmpfs", "/run", false},
	{"tmpfs", "/dev/shm", false},
	{"devpts", "/dev/pts", true},
	{"cgroup2", "/sys/fs/cgroup", true},
	{"bpf", "/sys/fs/bpf", true},
	{"debugfs", "/sys/kernel/debug", true},
	{"tracefs", "/sys/kernel/tracing", true},
}

func initialise() error {
	for _, m := range mounts {
		err := os.MkdirAll(m.dir, 0o755)
		if err == nil || errors.Is(err, fs.ErrPermission) {
			err = unix.Mount(m.kind, m.dir, m.kind, 0, "")
		}
		if err != nil && !m.optional {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for name, value := range map[string]string{"PATH": "/bin:/sbin", "HOME": "/root", "TMPDIR": "/tmp"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return err
	}
	files, err := os.ReadDir(moduleDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if err := loadModule(filepath.Join(moduleDir, f.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(moduleDir)
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	// A kernel's own parameters of ifb make two NICs that nobody asked for.
	parameters := ""
	if strings.HasSuffix(file, "-ifb.ko") {
		parameters = "numifbs=0"
	}
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", filepath.Base(file), err)
	}
	return nil
}

// deviceTimeout is how long devices have to appear.
const deviceTimeout = 30 * time.Second

// await asks until there is an answer or time is up.
func await[T any](what string, ask func() (T, error)) (T, error) {
	for deadline := time.Now().Add(deviceTimeout); ; time.Sleep(10 * time.Millisecond) {
		v, err := ask()
		if err == nil {
			return v, nil
		}
		if time.Now().After(deadline) {
			return v, fmt.Errorf("%s did not appear in %v: %w", what, deviceTimeout, err)
		}
	}
}

// openPort opens the port to the host.
func openPort() (*os.File, error) {
	return await("the port "+portName, func() (*os.File, error) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if b, err := os.ReadFile(n); err == nil && strings.TrimSpace(string(b)) == portName {
				return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(n))), os.O_RDWR, 0)
			}
		}
		return nil, fs.ErrNotExist
	})
}

// serve takes the order, carries it out and tells how it went.
func serve() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	to := &frames{w: port}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	if err := to.sendJSON(kindReady, ready{unix.ByteSliceToString(u.Release[:])}); err != nil {
		return err
	}
	k, payload, err := readFrame(port)
	if err != nil {
		return err
	}
	var o order
	if k != kindCommand {
		return fmt.Errorf("the host sent a frame %q before its order", k)
	}
	if err := json.Unmarshal(payload, &o); err != nil {
		return err
	}
	interrupts, gone := make(chan struct{}, 1), make(chan struct{})
	go listenToHost(port, interrupts, gone)
	e := end{}
	growing, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		sendParts(growing, ResultDir, to)
	}()
	e.Code, err = o.carryOut(interrupts, to)
	stop()
	<-stopped
	if err == nil {
		err = sendResults(to)
	}
	if err != nil {
		e.Error = err.Error()
	}
	if err := to.sendJSON(kindEnd, e); err != nil {
		return err
	}
	// The host closes the port when it has read all; powering off before would lose what is on
	// its way.
	<-gone
	return nil
}

// listenToHost passes the host's signals on and closes gone when the host closed the port.
func listenToHost(port *os.File, interrupts chan<- struct{}, gone chan<- struct{}) {
	defer close(gone)
	for {
		k, _, err := readFrame(port)
		if err != nil {
			return
		}
		if k == kindSignal {
			select {
			case interrupts <- struct{}{}:
			default: // one is on its way
			}
		}
	}
}

// carryOut runs the command.
func (o *order) carryOut(interrupts <-chan struct{}, to *frames) (int, error) {
	if err := o.nameNICs(); err != nil {
		return 0, err
	}
	for name, content := range o.Files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return 0, err
		}
	}
	r := reader{kinds: map[*os.File]kind{}}
	stdout, err := r.pipe(kindOut)
	if err != nil {
		return 0, err
	}
	stderr, err := r.pipe(kindErr)
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	child, err := os.StartProcess("/init", append([]string{"stackmeter"}, o.Args...), &os.ProcAttr{
		Dir: "/root", Env: append(os.Environ(), o.Env...), Files: []*os.File{null, stdout, stderr},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	pid := child.Pid
	done := r.forward(to, stdout, stderr)
	go func() {
		for range interrupts {
			_ = unix.Kill(-pid, unix.SIGINT)
		}
	}()
	code, err := reap(pid)
	if err != nil {
		return 0, err
	}
	// What the command left behind may hold its output open.
	_ = unix.Kill(-pid, unix.SIGKILL)
	for range r.kinds {
		if err := <-done; err != nil {
			return 0, err
		}
	}
	return code, nil
}

// reap waits for pid as the first process must: for all orphans too.
func reap(pid int) (int, error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the command: %w", err)
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case got == pid && ws.Exited():
			return ws.ExitStatus(), nil
		}
	}
}

// reader forwards the command's output.
type reader struct{ kinds map[*os.File]kind }

func (r *reader) pipe(k kind) (*os.File, error) {
	out, in, err := os.Pipe()
	if err == nil {
		r.kinds[out] = k
	}
	return in, err
}

// forward closes our ends for writing and sends what comes until the others are closed.
func (r *reader) forward(to *frames, ours ...*os.File) <-chan error {
	for _, f := range ours {
		_ = f.Close()
	}
	done := make(chan error, len(r.kinds))
	for f, k := range r.kinds {
		go func() {
			_, err := f.WriteTo(stream{to, k})
			done <- err
		}()
	}
	return done
}

// nameNICs brings lo up and gives the NICs their names.
func (o *order) nameNICs() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	for address, name := range o.NICs {
		link, err := await("NIC "+name, func() (netlink.Link, error) { return linkAt(address) })
		if err == nil {
			err = netlink.LinkSetName(link, name)
		}
		if err != nil {
			return fmt.Errorf("NIC %s (%s): %w", name, address, err)
		}
	}
	return nil
}

func linkAt(address string) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	want, err := net.ParseMAC(address)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Attrs().HardwareAddr.String() == want.String() {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no NIC has the address %s", address)
}

// sendResults sends the directory of results, if there is one.
func sendResults(to *frames) error {
	if _, err := os.Stat(ResultDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	w := tar.NewWriter(stream{to, kindTar})
	if err := w.AddFS(os.DirFS(ResultDir)); err != nil {
		return fmt.Errorf("send the results: %w", err)
	}
	return w.Close()
}
