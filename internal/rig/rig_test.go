package rig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// resident is a process in a network namespace of its own; the namespace ends with it.
func resident(t *testing.T) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// inside runs f in the network namespace of a process.
func inside(t *testing.T, cmd *exec.Cmd, f func(sysfs string) error) {
	t.Helper()
	if err := sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), f); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range all {
		out = append(out, i.Name)
	}
	return out
}

func TestPlan(t *testing.T) {
	seen := map[string]bool{}
	benchmark := net.IPNet{IP: net.IPv4(198, 18, 0, 0), Mask: net.CIDRMask(15, 32)}
	for _, l := range Plan(MaxNICs) {
		for _, n := range []NIC{l.Server, l.Client} {
			if seen[n.Name] || seen[n.Addr.String()] || len(n.Name) > 15 || !benchmark.Contains(n.Addr.AsSlice()) {
				t.Errorf("NIC %+v is there twice or out of bounds", n)
			}
			seen[n.Name], seen[n.Addr.String()] = true, true
		}
	}
	if len(seen) != 4*MaxNICs {
		t.Errorf("%d names and addresses", len(seen))
	}
}

// TestVeth sends a byte over each link, and wants the machine's own network as it was, and the NICs gone with
// one of the two processes.
func TestVeth(t *testing.T) {
	server, client := resident(t), resident(t)
	links := Plan(3)
	if err := Veth(server.Process.Pid, client.Process.Pid, links); err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if slices.ContainsFunc(names(t), func(n string) bool { return n == l.Server.Name || n == l.Client.Name }) {
			t.Errorf("%v is in the machine's own network", l)
		}
		var lis net.Listener
		inside(t, server, func(string) (err error) {
			lis, err = net.Listen("tcp", net.JoinHostPort(l.Server.Addr.String(), "0"))
			return err
		})
		if lis == nil {
			continue
		}
		inside(t, client, func(string) error {
			c, err := (&net.Dialer{Timeout: 3 * time.Second, LocalAddr: &net.TCPAddr{IP: l.Client.Addr.AsSlice()}}).Dial("tcp", lis.Addr().String())
			if err != nil {
				return err
			}
			return c.Close()
		})
		lis.Close()
		inside(t, server, func(sysfs string) error {
			queues, err := filepath.Glob(filepath.Join(sysfs, "class/net", l.Server.Name, "queues/*"))
			if err != nil || len(queues) != 2 {
				return fmt.Errorf("queues of %s: %v, %v; want one each way", l.Server.Name, queues, err)
			}
			return nil
		})
	}
	end(client)
	for range 200 {
		var left []string
		inside(t, server, func(sysfs string) error {
			var err error
			left, err = filepath.Glob(filepath.Join(sysfs, "class/net/srv*"))
			return err
		})
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the NICs outlive the client")
}

func TestVethErrors(t *testing.T) {
	server, client := resident(t), resident(t)
	if err := Veth(server.Process.Pid, 1<<22+1, Plan(1)); err == nil || !strings.Contains(err.Error(), "network namespace of process") {
		t.Errorf("a process that is not: %v", err)
	}
	twice := []Link{Plan(1)[0], Plan(1)[0]}
	if err := Veth(server.Process.Pid, client.Process.Pid, twice); err == nil || !strings.Contains(err.Error(), "make the veth pair srv0") {
		t.Errorf("a name that is taken: %v", err)
	}
}
