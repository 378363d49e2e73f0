package cli_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Roles of this test binary: a host, which is a network and mount namespace with a sysfs of its
// own, and a process that enters one and becomes stackmeter there.
const (
	hostRole  = "test-host"
	enterRole = "test-enter"
	enterPID  = "STACKMETER_TEST_HOST"
)

// hostMain is a host: it lives until its standard input ends.
func hostMain() int {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
	)
	fmt.Println("ready", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// enterMain enters a host and runs stackmeter there.
func enterMain() int {
	runtime.LockOSThread()
	err := enter(os.Getenv(enterPID))
	if err == nil {
		err = unix.Exec("/proc/self/exe", append([]string{"stackmeter"}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "enter:", err)
	return 9
}

func enter(pid string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	for _, ns := range []string{"net", "mnt"} {
		fd, err := unix.Open(filepath.Join("/proc", pid, "ns", ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Setns(fd, 0); err != nil {
			return fmt.Errorf("enter %s of %s: %w", ns, pid, err)
		}
	}
	return unix.Chdir(dir)
}

// newHost starts a host and returns its process.
func newHost(t *testing.T) int {
	t.Helper()
	cmd := selfexec.Command(t.Context(), hostRole)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	ready := make([]byte, len("ready <nil>\n"))
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "ready <nil>\n" {
		t.Fatalf("host: %q, %v", ready, err)
	}
	return cmd.Process.Pid
}

// inHost makes a run of the program one in a host.
func inHost(p *program, pid int) *program {
	p.cmd.Env = append(p.cmd.Env, enterPID+"="+strconv.Itoa(pid), "STACKMETER_ROLE="+enterRole)
	return p
}

// twoHosts makes two hosts with one cable between them, an agent in the second, and
// returns the first and a directory with the key and the plan.
func twoHosts(t *testing.T, plan string) (server int, dir string, peer *program) {
	t.Helper()
	needRoot(t)
	dir = t.TempDir()
	server = newHost(t)
	client := newHost(t)
	if err := rig.Veth(server, client, rig.Plan(1)); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tiny.yaml", plan)
	run(t, dir, 0, "keys", "new", "key")
	peer = inHost(prepare(t, dir, "serve", "--listen", "198.18.0.2:4777", "--key-file", "key"), client).start()
	t.Cleanup(func() {
		_ = peer.cmd.Process.Signal(syscall.SIGTERM)
		_ = peer.cmd.Wait()
	})
	until(t, "the agent listens", func() bool { return strings.Contains(peer.stderr.String(), "listening") })
	return server, dir, peer
}

// nicState is what a study may change of the server's NIC.
func nicState(t *testing.T, pid int) string {
	t.Helper()
	var state string
	err := sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", pid), func(sysfs string) error {
		for _, f := range []string{"mtu", "threaded"} {
			b, err := os.ReadFile(filepath.Join(sysfs, "class/net/srv0", f))
			if err != nil {
				return err
			}
			state += f + " " + string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func study(t *testing.T, dir string, server int, more ...string) *program {
	args := append([]string{"study", "tiny.yaml", "--nic", "srv0", "--peer", "198.18.0.2", "--key-file", "key", "--out", "r"}, more...)
	return inHost(prepare(t, dir, args...), server)
}

func TestStudyOnHosts(t *testing.T) {
	server, dir, peer := twoHosts(t, fmt.Sprintf(tiny, 1, "affinity: [none, irq, process, both], mtu: [1500, 1400]"))
	before := nicState(t, server)
	p := study(t, dir, server).start()
	p.wait(0, time.Minute)
	if after := nicState(t, server); after != before {
		t.Errorf("the NIC is left at %s, was %s", after, before)
	}
	d, err := result.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.Rig != "hosts" || len(d.Trials) != 8 || len(d.Hosts) != 2 {
		t.Errorf("rig %s, %d trials, %d hosts", d.Manifest.Rig, len(d.Trials), len(d.Hosts))
	}
	for _, tr := range d.Trials {
		if tr.Status != "ok" || tr.ThroughputBitsPerSecond <= 0 || tr.CPU.ServerUtilization != tr.CPU.Utilization {
			t.Errorf("trial %s: %s %s, %v b/s, server's utilisation %v of %v", tr.ID, tr.Status, tr.Error, tr.ThroughputBitsPerSecond, tr.CPU.ServerUtilization, tr.CPU.Utilization)
		}
		irq := ""
		for _, k := range tr.Knobs {
			switch k.Name {
			case "irq-affinity":
				irq = k.Mechanism
			case "mtu":
				if k.Value != tr.Levels["mtu"] || k.Target != "server:srv0" {
					t.Errorf("trial %s: %v, want MTU %s", tr.ID, k, tr.Levels["mtu"])
				}
			}
		}
		want := map[string]string{"irq": "threaded-napi", "both": "threaded-napi"}[tr.Levels["affinity"]]
		if irq != want {
			t.Errorf("trial %s, affinity %s: mechanism %q, want %q", tr.ID, tr.Levels["affinity"], irq, want)
		}
	}
	if p := run(t, dir, 2, "study", "--resume", "r"); !strings.Contains(p.stderr.String(), `"hosts", this would be "veth"`) {
		t.Errorf("goes on with a study of real NICs elsewhere:\n%s", p.stderr.String())
	}
	until(t, "the agent says that the session ended well", func() bool { return strings.Contains(peer.stderr.String(), "all put back") })
}

// TestHostsArePutBack ends a study on real NICs in the three ways in which it can end
// early, and wants the NIC as it was.
func TestHostsArePutBack(t *testing.T) {
	server, dir, _ := twoHosts(t, fmt.Sprintf(tiny, 9, "mtu: [1400]"))
	before := nicState(t, server)
	for _, how := range []string{"interrupt", "kill", "kill all"} {
		if err := os.RemoveAll(filepath.Join(dir, "r")); err != nil {
			t.Fatal(err)
		}
		p := study(t, dir, server).start()
		until(t, "the NIC changes", func() bool { return strings.Contains(nicState(t, server), "mtu 1400") })
		if how == "interrupt" {
			if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			p.wait(1, 2*time.Second)
		} else {
			kill(t, p, how == "kill all")
			_ = p.cmd.Wait()
			inHost(prepare(t, dir, "version"), server).start().wait(0, time.Minute)
		}
		if after := nicState(t, server); after != before {
			t.Errorf("%s: the NIC is left at %s, was %s", how, after, before)
		}
		if j := looseJournals(); len(j) > 0 {
			t.Errorf("%s: %v", how, j)
		}
	}
}

// TestHostsRefused wants exit code 2, the field and the mend, and an untouched NIC.
func TestHostsRefused(t *testing.T) {
	server, dir, peer := twoHosts(t, fmt.Sprintf(tiny, 1, "nics: [1]"))
	before := nicState(t, server)
	run(t, dir, 0, "keys", "new", "other")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--key-file", "other"}, "same key"},
		{[]string{"--peer", "198.18.0.2:9"}, "is `stackmeter serve` running there"},
		{[]string{"--nic", "srv9"}, "srv9"},
		{[]string{"--cpus", "4096"}, "cpus"},
	} {
		p := study(t, dir, server, tc.args...).start()
		p.wait(2, 20*time.Second)
		if !strings.Contains(p.stderr.String(), tc.want) {
			t.Errorf("%v: does not say %q:\n%s", tc.args, tc.want, p.stderr.String())
		}
		if _, err := os.Stat(filepath.Join(dir, "r")); err == nil {
			t.Errorf("%v: a result was made", tc.args)
		}
	}
	if after := nicState(t, server); after != before {
		t.Errorf("the NIC is left at %s, was %s", after, before)
	}
	if !strings.Contains(peer.stderr.String(), "refused") {
		t.Errorf("the agent does not say that it refused a wrong key:\n%s", peer.stderr.String())
	}
}
