package profile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParseKernelCounters(t *testing.T) {
	out := map[string]uint64{}
	for _, tc := range []struct {
		parse func(*strings.Reader) error
		text  string
	}{
		{func(r *strings.Reader) error { return parseSoftirqs(r, out) }, "                    CPU0       CPU1\n          HI:          0          1\n      NET_RX:    2000     3000\n"},
		{func(r *strings.Reader) error { return parseInterrupts(r, out) }, `           CPU0       CPU1
 41:       7095          5 PCI-MSIX-0000:00:04.0   1-edge
 42:         10          0 PCI-MSIX-0000:00:04.0   2-edge
LOC:    100    200   Local timer interrupts
ERR:          3
`},
		{func(r *strings.Reader) error { return parseStat(r, out) }, "cpu  1 2 3\nctxt 12345\nbtime 1\n"},
	} {
		if err := tc.parse(strings.NewReader(tc.text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]uint64{
		"softirqs.net_rx": 5000, "softirqs.hi": 1, kernelIRQs: 7110, "interrupts.loc": 300, "interrupts.err": 3, kernelSwitches: 12345,
	} {
		if out[name] != want {
			t.Errorf("%s: %d, want %d", name, out[name], want)
		}
	}
}

func TestFieldOfPairedLines(t *testing.T) {
	const netstat = "TcpExt: SyncookiesSent InOctets\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets\nIpExt: 3 9876543210\n"
	if n, err := field(strings.NewReader(netstat), "IpExt:", "InOctets"); err != nil || n != 9876543210 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := field(strings.NewReader(netstat), "IpExt:", "OutOctets"); err == nil {
		t.Error("a field that is not there was found")
	}
}

func TestMeterCountsOwnNamespaceOnce(t *testing.T) {
	m, err := namespacesOf("/proc", []int{os.Getpid(), os.Getppid()})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.inNet) != 1 {
		t.Errorf("%d namespaces, want one for a process and its parent", len(m.inNet))
	}
	all, err := allNamespaces("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for ns := range m.inNet {
		if all.inNet[ns] == nil {
			t.Errorf("namespace %d is not among all: %v", ns, all.inNet)
		}
	}
	if _, err := namespacesOf("/proc", []int{1 << 30}); err == nil {
		t.Error("a process that is not there has a namespace")
	}
	if _, err := all.read(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(m.close(), all.close()); err != nil {
		t.Error(err)
	}
}

// TestMeterOutlivesTheProcess reads a namespace through a process that is gone.
func TestMeterOutlivesTheProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	pid, end := namespaceWithDatagram(t)
	m, err := namespacesOf("/proc", []int{pid})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	before, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	end()
	after, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	if before.bytes != itsBytes || after.bytes != before.bytes {
		t.Errorf("%d bytes while it lived, %d after; want %d", before.bytes, after.bytes, itsBytes)
	}
}

// itsBytes are what IP received in the namespace of [namespaceWithDatagram]: the datagram, and
// ICMP's refusal, as nobody listens.
const itsBytes = (20 + 8 + 6) + (20 + 8 + 20 + 8 + 6)

// namespaceWithDatagram is a process in a network namespace of its own that has sent itself a
// datagram. It lives until end is called.
func namespaceWithDatagram(t *testing.T) (pid int, end func()) {
	t.Helper()
	c := exec.Command("unshare", "-n", "bash", "-c", "ip link set lo up && echo hello >/dev/udp/127.0.0.1/9 && echo ready && read x")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skip(err)
	}
	end = sync.OnceFunc(func() {
		in.Close()
		_ = c.Wait()
	})
	t.Cleanup(end)
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skip("no bash with /dev/udp, or no ip, in a namespace here")
	}
	return c.Process.Pid, end
}

// TestMeterTakesInNewNamespaces makes a namespace after the meter, and wants it counted from the
// next look on, and kept when it has gone; a meter of some processes must not take it in.
func TestMeterTakesInNewNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	all, err := allNamespaces("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer all.close()
	some, err := namespacesOf("/proc", []int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer some.close()
	pid, end := namespaceWithDatagram(t)
	if all.has(pid) {
		t.Fatal("a namespace is known before the look")
	}
	if err := errors.Join(all.look(), some.look()); err != nil {
		t.Fatal(err)
	}
	if !all.has(pid) || some.has(pid) {
		t.Fatalf("after the look: among all %v, want true; among some %v, want false", all.has(pid), some.has(pid))
	}
	inode, _ := namespaceOf(fmt.Sprintf("/proc/%d", pid))
	end()
	if err := all.look(); err != nil {
		t.Fatal(err)
	}
	if n, err := all.bytes(all.inNet[inode]); err != nil || n != itsBytes {
		t.Errorf("%d bytes of it when it has gone, %v; want %d", n, err, itsBytes)
	}
}

// TestRunTakesInNewNamespaces makes a namespace with traffic in the middle of a profile of the whole
// machine, and wants the profile to have its loopback, by name.
func TestRunTakesInNewNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace, counts by BPF")
	}
	var inode uint32
	until := make(chan struct{})
	ran := 0
	p, err := Run(t.Context(), Options{
		Duration: 20 * time.Second, Passes: []string{PassFrame}, Until: until,
		Progress: func(int, int, string, time.Duration) {
			if ran++; ran == 3 {
				inode = namespaceWithStream(t)
			}
			if ran == 9 {
				close(until)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Frame.NICs {
		if n.Netns == inode && n.Name == "lo" && n.Received > 0 {
			return
		}
	}
	t.Errorf("no loopback of the namespace %d, made in slice 3 of %d, among %+v", inode, ran, p.Frame.NICs)
}

// namespaceWithStream is a namespace whose loopback receives datagrams until the test ends.
func namespaceWithStream(t *testing.T) (inode uint32) {
	t.Helper()
	c := exec.Command("unshare", "-n", "bash", "-c",
		"ip link set lo up && echo x >/dev/udp/127.0.0.1/9 && echo ready && while ! read -t 0.01 x; do echo x >/dev/udp/127.0.0.1/9; [ $? -lt 2 ] || exit; done")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_, _ = in.Write([]byte("end\n"))
		in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skip("no bash with /dev/udp, or no ip, in a namespace here")
	}
	inode, _ = namespaceOf(fmt.Sprintf("/proc/%d", c.Process.Pid))
	return inode
}
