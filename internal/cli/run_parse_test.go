package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/stackmeter/stackmeter/meter"
)

func TestParseHost(t *testing.T) {
	for s, want := range map[string]meter.Host{
		"local": {}, "local:eth1": {NIC: "eth1"}, "peer": {Agent: "peer:4777"}, "10.0.0.1:9": {Agent: "10.0.0.1:9"},
		"10.0.0.1:eth0.100": {Agent: "10.0.0.1:4777", NIC: "eth0.100"}, "peer:9:eth0": {Agent: "peer:9", NIC: "eth0"},
		"[fd00::1]": {Agent: "[fd00::1]:4777"}, "[fd00::1]:9": {Agent: "[fd00::1]:9"}, "[fd00::1]:eth0": {Agent: "[fd00::1]:4777", NIC: "eth0"},
		"[fd00::1]:9:eth0": {Agent: "[fd00::1]:9", NIC: "eth0"},
	} {
		if got, err := parseHost(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":", ":9", "peer:", "peer::eth0", "peer:0", "peer:65536", "peer:eth0:9", "peer:9:9", "peer:1:2:eth0", "local:9", "fd00::1", "[fd00::1", "[fd00::1]eth0", "[10.0.0.1]", "a b", "peer:abcdefghijklmnop"} {
		if got, err := parseHost(s); err == nil {
			t.Errorf("%q: %+v, want an error", s, got)
		}
	}
}

func TestParseFlowRate(t *testing.T) {
	for s, want := range map[string]flowRate{"5000": {perSecond: 5000}, "20k": {perSecond: 20000}, "1.5 k/s": {perSecond: 1500}, "1M/s": {perSecond: 1e6}, "1Gb/s": {bits: 1e9}, "700 Mbit": {bits: 7e8}} {
		if got, err := parseFlowRate(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "1G", "NaN", "1GB/s", "k", "1e9"} {
		if got, err := parseFlowRate(s); err == nil {
			t.Errorf("%q: %+v, want an error", s, got)
		}
	}
}

// FuzzParseInventory wants every inventory that is read to have hosts that can be dialled, and
// to be read the same when it is written again.
func FuzzParseInventory(f *testing.F) {
	f.Add([]byte("senders:\n  - agent: 10.0.0.1\n    nic: eth0\nreceivers:\n  - agent: '[fd00::1]:9'\n  - agent: local\n"))
	f.Add([]byte("senders: [{agent: local, nic: lo}]"))
	f.Add([]byte("senders:\n- nic: 1"))
	f.Add([]byte("receivers: {agent: x}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		senders, receivers, err := parseInventory(data)
		if err != nil {
			return
		}
		if len(senders)+len(receivers) == 0 {
			t.Fatalf("%q: no host and no error", data)
		}
		written := func(hosts []meter.Host) []inventoryHost {
			var out []inventoryHost
			for _, h := range hosts {
				agent := thisMachine
				if h.Agent != "" {
					if _, _, err := net.SplitHostPort(h.Agent); err != nil {
						t.Fatalf("%q: %v", data, err)
					}
					agent = h.Agent
				}
				out = append(out, inventoryHost{Agent: agent, NIC: h.NIC})
			}
			return out
		}
		again, err := yaml.Marshal(inventory{Senders: written(senders), Receivers: written(receivers)})
		if err != nil {
			t.Fatal(err)
		}
		s2, r2, err := parseInventory(again)
		if err != nil {
			t.Fatalf("%q, written as %q: %v", data, again, err)
		}
		a, _ := json.Marshal([][]meter.Host{senders, receivers})
		b, _ := json.Marshal([][]meter.Host{s2, r2})
		if !bytes.Equal(a, b) {
			t.Errorf("%s is read again as %s", a, b)
		}
	})
}
