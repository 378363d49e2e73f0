package tune

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// inVeth runs f on a thread in a network namespace of its own with a veth pair of four
// queues a side, tn0 and tn1, up, and a tap, tn2.
func inVeth(t *testing.T, f func(m *Machine)) {
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
		if err := makeNICs(); err != nil {
			t.Error(err)
			return
		}
		f(&Machine{
			Root: host.Root{Proc: "/proc", Sys: fmt.Sprintf("/proc/self/fd/%d", sys.Fd())},
			NICs: []string{"tn0", "tn1", "tn2"},
		})
	}()
	<-done
}

func makeNICs() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "tn0", 4, 4
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "tn1", PeerNumRxQueues: 4, PeerNumTxQueues: 4}); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	tap := netlink.NewLinkAttrs()
	tap.Name = "tn2"
	if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: tap, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
		return fmt.Errorf("make a tap: %w", err)
	}
	for _, n := range []string{"tn0", "tn1", "tn2"} {
		l, err := netlink.LinkByName(n)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("%s up: %w", n, err)
		}
	}
	return nil
}

// snapshot reads every knob of everything handed over.
func snapshot(m *Machine) map[string]string {
	out := map[string]string{}
	for _, i := range m.Items() {
		r := i.Reading()
		v := r.Value
		if r.Err != nil {
			v = "error: " + r.Err.Error()
		}
		out[i.Name+" of "+i.Target] = v
	}
	return out
}

func compare(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%s: %s was %q, is %q", what, k, v, after[k])
		}
	}
}

// parse makes the plan of a profile's text.
func parse(t *testing.T, m *Machine, text string) []Want {
	t.Helper()
	p, err := ParseProfile([]byte(text))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	plan, err := m.Plan(p)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return plan
}

// have is what of a plan this kernel can have; what it can't is logged.
func have(t *testing.T, plan []Want) []Want {
	t.Helper()
	rest, skipped, err := Possible(plan, true)
	if err != nil {
		t.Errorf("possible: %v", err)
	}
	for _, s := range skipped {
		t.Logf("left out: %v", s)
	}
	if len(rest) < len(plan)*3/4 {
		t.Errorf("only %d of %d values can be had", len(rest), len(plan))
	}
	return rest
}

// whole is a profile of everything that these NICs and a network namespace can have, each value other
// than the kernel's default.
const whole = `version: 1
name: whole
host:
  net.core.optmem_max: 65536
  net.core.somaxconn: 1000
  net.ipv4.tcp_rmem: [4096, 100000, 5000000]
  net.ipv4.tcp_wmem: 4096 100000 5000000
  net.ipv4.tcp_congestion_control: reno
  net.ipv4.tcp_moderate_rcvbuf: 0
  net.ipv4.tcp_window_scaling: 0
  net.ipv4.tcp_timestamps: 0
  net.ipv4.tcp_sack: 0
  net.ipv4.tcp_autocorking: 0
  net.ipv4.tcp_limit_output_bytes: 524288
  net.ipv4.tcp_notsent_lowat: 16384
  net.ipv4.tcp_min_tso_segs: 4
  net.ipv4.tcp_slow_start_after_idle: 0
  net.ipv4.tcp_mtu_probing: 1
  net.ipv4.tcp_max_syn_backlog: 77
nic:
  mtu: 1400
  gso: off
  gro-max-size: 40000
  gso-max-size: 30000
  gro-ipv4-max-size: 31000
  gso-ipv4-max-size: 32000
  tx-queue-length: 500
  gro-flush-timeout: 20000
  napi-defer-hard-irqs: 2
  qdisc: pfifo
  rfs: 500
  rps: all
nics:
  tn0:
    rx-channels: 2
    tx-channels: 3
    rx-checksum: off
    tx-checksum: off
    scatter-gather: off
    tso: off
    uso: off
    gro: on
    gro-list: on
    threaded-napi: on
    napi-cpus: spread
    xps: 0 1
    rps: 0 off
  tn1:
    gro-udp-forwarding: on
    xps: spread
  tn2:
    rx-frames: 8
`
