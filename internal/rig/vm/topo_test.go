package vm_test

import (
	"encoding/json"
	"testing"

	"github.com/stackmeter/stackmeter/internal/topo"
)

// insideTopo holds topo against a machine of which all is known.
func insideTopo(t *testing.T) {
	var m topo.Machine
	if err := json.Unmarshal([]byte(program(t, "topo", "--json")), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.CPUs) != 4 || len(m.Nodes) != 2 || m.Nodes[0].CPUs.String() != "0-1" || m.Nodes[1].CPUs.String() != "2-3" {
		t.Errorf("CPUs %+v, nodes %+v", m.CPUs, m.Nodes)
	}
	if !m.Virtualised || len(m.Warnings) > 0 {
		t.Errorf("virtualised %v, warnings %v", m.Virtualised, m.Warnings)
	}
	nics := map[string]topo.NIC{}
	for _, n := range m.NICs {
		nics[n.Name] = n
	}
	for name, want := range map[string]struct {
		driver, kind      string
		node, rx, vectors int
	}{
		"srv0":  {"virtio_net", "paravirtual", -1, 4, 8},
		"srv1":  {"virtio_net", "paravirtual", 1, 4, 8},
		"cli0":  {"virtio_net", "paravirtual", -1, 1, 2},
		"old0":  {"e1000", "emulated", -1, 1, 0}, // no driver of these asks for its interrupt while it is down
		"old1":  {"e100", "emulated", 0, 1, 0},
		"old2":  {"e1000", "emulated", 0, 1, 0},
		"pcie0": {"e1000e", "emulated", -1, 1, 0},
		"vmx0":  {"vmxnet3", "paravirtual", -1, 4, 0},
	} {
		n, ok := nics[name]
		if !ok {
			t.Errorf("%s is not told", name)
			continue
		}
		vectors := 0
		for _, i := range n.Interrupts {
			if !i.Control {
				vectors++
			}
			if len(i.Affinity) == 0 || len(i.Effective) == 0 {
				t.Errorf("%s: interrupt %d: affinity %v, effective %v", name, i.IRQ, i.Affinity, i.Effective)
			}
		}
		if n.Driver != want.driver || n.Kind != want.kind || n.Node != want.node || len(n.Rx()) != want.rx || vectors != want.vectors {
			t.Errorf("%s: %s, %s, node %d, %d receive queues, %d interrupts for queues; want %+v", name, n.Driver, n.Kind, n.Node, len(n.Rx()), vectors, want)
		}
	}
	if r := nics["srv0"].RSS; r == nil || len(r.Queues) != 4 {
		t.Errorf("RSS of srv0: %+v", r)
	}
	bridges(t, &m, nics)
}

// bridges checks the way from the NICs to the root.
func bridges(t *testing.T, m *topo.Machine, nics map[string]topo.NIC) {
	t.Helper()
	devices := map[string]topo.PCIDevice{}
	for _, d := range m.PCI {
		devices[d.Address] = d
	}
	// above are the bridges over a NIC.
	above := func(nic string) (out []topo.PCIDevice) {
		for d := devices[nics[nic].PCI]; d.Parent != ""; {
			d = devices[d.Parent]
			out = append(out, d)
		}
		return out
	}
	near, far, own := above("old1"), above("srv1"), above("srv0")
	if len(near) != 2 || len(far) != 2 || len(own) != 1 || len(above("old0")) != 0 {
		t.Fatalf("bridges above old1 %v, srv1 %v, srv0 %v, old0 %v: want 2, 2, 1, 0", near, far, own, above("old0"))
	}
	if devices[nics["old1"].PCI].Parent != devices[nics["old2"].PCI].Parent {
		t.Errorf("old1 (%s) and old2 (%s) are not below one bridge", nics["old1"].PCI, nics["old2"].PCI)
	}
	if near[1].Node != 0 || far[1].Node != 1 || near[1].HostBridge == far[1].HostBridge {
		t.Errorf("the ports of the bridges: %+v, %+v: want nodes 0 and 1, and roots of their own", near[1], far[1])
	}
	if l := devices[nics["srv0"].PCI].Link; l == nil || l.Bits() == 0 {
		t.Errorf("srv0 has no PCI Express link: %+v", l)
	}
	if l := devices[nics["old1"].PCI].Link; l != nil {
		t.Errorf("old1, of conventional PCI, has a PCI Express link: %+v", l)
	}
}
