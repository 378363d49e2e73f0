package profile

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
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
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skip("no bash with /dev/udp, or no ip, in a namespace here")
	}
	m, err := namespacesOf("/proc", []int{c.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	before, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	_ = c.Wait()
	after, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	const datagram = 20 + 8 + 6
	const refusal = 20 + 8 + datagram // ICMP: nobody listens
	if before.bytes != datagram+refusal || after.bytes != before.bytes {
		t.Errorf("%d bytes while it lived, %d after; want %d", before.bytes, after.bytes, datagram+refusal)
	}
}
