package knob

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

const victimVariable = "KNOB_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// victim changes settings, says so and waits for its end.
func victim(dir string) {
	root := host.Live()
	sys, err := sysx.Sysfs()
	if err == nil {
		root.Sys = fmt.Sprintf("/proc/self/fd/%d", sys.Fd())
	}
	j, err := NewJournal(root, dir)
	if err == nil {
		s := NewSet(root, j)
		for _, w := range wanted(root, "sm0") {
			if err = s.Put(context.Background(), w.Knob, w.Value); err != nil {
				break
			}
		}
		runtime.KeepAlive(j)
	}
	fmt.Println("ready", err)
	time.Sleep(time.Minute)
	runtime.KeepAlive(sys)
	os.Exit(1)
}

// wanted are settings of a NIC, each other than the kernel's default.
func wanted(root host.Root, nic string) []Setting {
	must := func(k Knob, err error) Knob {
		if err != nil {
			panic(err)
		}
		return k
	}
	return []Setting{
		{must(Ethtool(nic, "rx-channels")), "1"},
		{must(LinkSize(nic, "gso-max-size")), "30000"},
		{must(LinkSize(nic, "gro-max-size")), "31000"},
		{must(LinkSize(nic, "gro-ipv4-max-size")), "32000"},
		{RFS(root, nic, 0), "64"},
		{NICNumber(root, nic, "gro_flush_timeout"), "20000"},
		{NICNumber(root, nic, "napi_defer_hard_irqs"), "2"},
		{NICNumber(root, nic, "tx_queue_len"), "500"},
		{Qdisc(nic), "pfifo"},
		{Sysctl(root, "net.ipv4.tcp_rmem"), "4096 100000 5000000"},
		{Sysctl(root, "net.ipv4.tcp_congestion_control"), "reno"},
		{MTU(root, nic), "1400"},
		{MTU(root, nic), "1300"},
		{RPS(root, nic, 0), "1"},
		{XPS(root, nic, 0), "1"},
		{Offload(nic, "tso"), "off"},
		{Offload(nic, "gro"), "on"},
		{ThreadedNAPI(root, nic), "1"},
	}
}

// inVeth runs f on a thread in a network namespace of its own that has a veth pair of two
// queues a side, sm0 and sm1.
func inVeth(t *testing.T, f func(root host.Root)) {
	t.Helper()
	if uid, err := host.Live().OutsideUID(); err != nil || uid != 0 {
		t.Skip("needs root of the machine: makes a network namespace and sets RPS, which no user namespace may")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread and its namespace end here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		sys, err := sysx.Sysfs()
		if err != nil {
			t.Error(err)
			return
		}
		defer sys.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "sm0", 2, 2
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "sm1"}); err != nil {
			t.Errorf("make a veth pair: %v", err)
			return
		}
		for _, n := range []string{"sm0", "sm1"} {
			l, err := netlink.LinkByName(n)
			if err == nil {
				err = netlink.LinkSetUp(l)
			}
			if err != nil {
				t.Errorf("%s up: %v", n, err)
				return
			}
		}
		f(host.Root{Proc: "/proc", Sys: fmt.Sprintf("/proc/self/fd/%d", sys.Fd())})
	}()
	<-done
}

func values(t *testing.T, ss []Setting) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range ss {
		v, err := s.Knob.Read()
		if err != nil {
			t.Errorf("read %s: %v", s.Knob.Info().Name, err)
		}
		out[s.Knob.Info().Kind+" "+s.Knob.Info().Key] = v
	}
	return out
}

func compare(t *testing.T, before, after map[string]string) {
	t.Helper()
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%s: was %q, is %q", k, v, after[k])
		}
	}
}

func journals(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// startVictim starts a process in the calling thread's namespace that holds settings.
func startVictim(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Errorf("start the victim: %v", err)
		runtime.Goexit()
	}
	b := make([]byte, 200)
	n, _ := out.Read(b)
	if s := strings.TrimSpace(string(b[:n])); s != "ready <nil>" {
		t.Errorf("victim: %s", s)
	}
	return cmd
}
