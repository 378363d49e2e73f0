package topo_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// inNamespace runs f on a thread in a network namespace of its own with one interface of
// each kind. Sysfs is still the machine's, so what f reads must mount its own.
func inNamespace(t *testing.T, f func()) {
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
		attrs := func(name string) netlink.LinkAttrs {
			a := netlink.NewLinkAttrs()
			a.Name, a.NumRxQueues, a.NumTxQueues = name, 2, 2
			return a
		}
		bridge := &netlink.Bridge{LinkAttrs: attrs("br0")}
		for _, l := range []netlink.Link{
			&netlink.Veth{LinkAttrs: attrs("ve0"), PeerName: "ve1"}, bridge,
			&netlink.Tuntap{LinkAttrs: attrs("tap0"), Mode: netlink.TUNTAP_MODE_TAP},
		} {
			if err := netlink.LinkAdd(l); err != nil {
				t.Errorf("make %s: %v", l.Attrs().Name, err)
				return
			}
		}
		for _, name := range []string{"ve0", "ve1"} {
			l, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkSetUp(l)
			}
			if err == nil && name == "ve1" {
				err = netlink.LinkSetMaster(l, bridge)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
		}
		f()
	}()
	<-done
}

// setUp steers ve0 by RPS to CPU 0, gives it a table for RFS and has its NAPI instances polled by threads.
func setUp() error {
	sys, err := sysx.Sysfs()
	if err != nil {
		return err
	}
	defer sys.Close()
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	dir := fmt.Sprintf("/proc/self/fd/%d/class/net/ve0/", sys.Fd())
	return errors.Join(
		e.Change("ve0", map[string]bool{"rx-gro": true}), // veth has NAPI with GRO only
		os.WriteFile(dir+"threaded", []byte("1"), 0o644),
		os.WriteFile(dir+"queues/rx-1/rps_cpus", []byte("1"), 0o644),
		os.WriteFile(dir+"queues/rx-1/rps_flow_cnt", []byte("64"), 0o644),
	)
}

func nic(t *testing.T, m *topo.Machine, name string) topo.NIC {
	t.Helper()
	i := slices.IndexFunc(m.NICs, func(n topo.NIC) bool { return n.Name == name })
	if i < 0 {
		t.Errorf("no NIC %s", name)
		return topo.NIC{}
	}
	return m.NICs[i]
}

// The kernel's own files and answers are read and told: in a namespace whose NICs the
// mounted sysfs doesn't show.
func TestLive(t *testing.T) {
	inNamespace(t, func() {
		if err := setUp(); err != nil {
			t.Error(err)
			return
		}
		m, tree, err := topo.Capture()
		if err != nil {
			t.Error(err)
			return
		}
		if n := nic(t, m, "ve0"); len(n.Queues) != 4 || n.Queues[1].RPS.String() != "0" || !n.Threaded || len(n.NAPIs) != 2 || n.NAPIs[0].PID == 0 || len(n.NAPIs[0].CPUs) == 0 {
			t.Errorf("ve0 with RPS and threaded NAPI: %+v", n)
		}
		kinds := map[string]string{}
		for _, n := range m.NICs {
			kinds[n.Name] = n.Kind
		}
		if d := cmp.Diff(map[string]string{"br0": "bridge", "tap0": "tun", "ve0": "veth", "ve1": "veth"}, kinds); d != "" {
			t.Errorf("kinds (-want +got):\n%s", d)
		}
		if n := nic(t, m, "ve1"); !slices.Equal(n.Upper, []string{"br0"}) || n.Nature == "" || n.MTU != 1500 || len(n.Rx()) != 2 || n.Offloads == nil || n.Channels == nil {
			t.Errorf("ve1: %+v", n)
		}
		// The machine's table is shown to its first namespace alone.
		if slices.ContainsFunc(m.Judgements, func(j topo.Judgement) bool { return j.Code == "rfs-half-set" }) || m.RPSFlows != nil {
			t.Errorf("RFS by a table that is not shown here: %v, %+v", m.RPSFlows, m.Judgements)
		}
		if len(m.Warnings) > 0 || m.Captured || m.Architecture != runtime.GOARCH || len(m.CPUs) == 0 {
			t.Errorf("%+v", m)
		}
		again, err := topo.Read(tree)
		if err != nil {
			t.Error(err)
			return
		}
		if d := cmp.Diff(m, again, cmpopts.IgnoreFields(topo.Machine{}, "Captured", "Architecture"), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("the capture reads otherwise (-live +captured):\n%s", d)
		}
	})
}

// A namespace with nothing but lo, which is alike in each, has no NIC of another's.
func TestNoNICsOfOthers(t *testing.T) {
	inNamespace(t, func() {
		for _, name := range []string{"ve0", "br0", "tap0"} {
			l, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkDel(l)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		if nics, err := host.Live().NICs(); err != nil || len(nics) == 0 {
			t.Logf("the mounted sysfs shows no NIC that could be mistaken: %v", err)
		} else if err := host.Live().CheckNICs(); err == nil {
			t.Errorf("sysfs shows %d NICs of another namespace and passes", len(nics))
		}
		m, err := topo.Live()
		if err != nil {
			t.Error(err)
			return
		}
		if slices.ContainsFunc(m.NICs, func(n topo.NIC) bool { return n.Name != "lo" }) {
			t.Errorf("NICs of another namespace: %+v", m.NICs)
		}
	})
}

// A capture holds nothing that names the machine or its network.
func TestCaptureIsDiscreet(t *testing.T) {
	inNamespace(t, func() {
		_, tree, err := topo.Capture()
		if err != nil {
			t.Error(err)
			return
		}
		var b bytes.Buffer
		if err := tree.WriteArchive(&b); err != nil {
			t.Error(err)
			return
		}
		dir := unpack(t, b.Bytes())
		text, err := os.ReadFile(dir + "/proc/cpuinfo")
		if err != nil || strings.Contains(string(text), "MHz") || strings.Contains(string(text), "fpu") {
			t.Errorf("cpuinfo is captured as %q, %v", text, err)
		}
		hostname, _ := os.Hostname()
		secrets := []string{hostname}
		for _, name := range []string{"ve0", "ve1", "br0", "tap0"} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				t.Error(err)
				return
			}
			secrets = append(secrets, l.Attrs().HardwareAddr.String())
		}
		walk(t, dir, func(name, content string) {
			for _, s := range secrets {
				if len(s) > 3 && strings.Contains(content, s) {
					t.Errorf("%s holds %q", name, s)
				}
			}
		})
	})
}
