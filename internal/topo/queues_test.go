package topo

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// The advice is one that the NIC's driver takes.
func TestSetQueues(t *testing.T) {
	for want, n := range map[string]NIC{
		"ethtool -L a combined 4": {Name: "a", Channels: &host.Channels{CombinedMax: 8}},
		"ethtool -L b rx 4":       {Name: "b", Channels: &host.Channels{RxMax: 8, TxMax: 8}},
		"4 queues for c, set in the driver's parameters or the virtual machine's configuration": {Name: "c", Driver: "vmxnet3"},
	} {
		if got := n.setQueues(4); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
