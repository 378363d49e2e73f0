package topo_test

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/topo/madeup"
)

// TestBus looks for the way that NICs share into each kind of machine: a switch's, a card's, a
// conventional bus's, a virtual machine's own.
func TestBus(t *testing.T) {
	want := map[string]string{
		"server-2-sockets/ens1f0np0": "0000:16:02.0", "server-2-sockets/ens2f0": "0000:16:02.0", // one switch
		"server-2-sockets/ens5": "0000:97:02.0", "server-2-sockets/bond0": "",
		"amd-4-nodes/enp65s0f0np0": "0000:40:01.1", "amd-4-nodes/enp65s0f1np1": "0000:40:01.1", // one card
		"old-pci-bus/eth0": "0000:00:02.0", "old-pci-bus/eth1": "0000:00:02.0", "old-pci-bus/eth2": "0000:05:03.0",
		"vm-gce/ens4": "pci0000:00",
	}
	for _, x := range madeup.Machines() {
		m, err := topo.Read(x.Tree)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.NICs {
			name := x.Name + "/" + m.NICs[i].Name
			if bus, ok := want[name]; ok && m.Bus(m.NICs[i].Name) != bus {
				t.Errorf("%s: %q, want %q", name, m.Bus(m.NICs[i].Name), bus)
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("NICs that no machine has: %v", want)
	}
}
