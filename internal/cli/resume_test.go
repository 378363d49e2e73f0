package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestResumeElsewhere changes one condition at a time and wants it named, and what
// is no condition let pass.
func TestResumeElsewhere(t *testing.T) {
	facts := func(change func(map[string]any)) json.RawMessage {
		f := map[string]any{
			"hostname": "a", "kernel_release": "6.18", "cpu_model": "Z", "cpus_online": []int{0, 1},
			"boot_id": "1", "memory_bytes": 1 << 30, "mitigations": map[string]string{"x": "y"},
		}
		if change != nil {
			change(f)
		}
		raw, err := json.MarshalIndent(f, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		change func(d *result.Dir, b *experiment.Bench)
		want   string // "": may go on
	}{
		"nothing": {func(*result.Dir, *experiment.Bench) {}, ""},
		"rebooted": {func(_ *result.Dir, b *experiment.Bench) {
			b.ServerHello.Host = facts(func(f map[string]any) { f["boot_id"], f["memory_bytes"] = "2", 1<<29 })
		}, ""},
		"no hosts.json": {func(d *result.Dir, _ *experiment.Bench) { d.Hosts = nil }, ""},
		"kernel": {func(_ *result.Dir, b *experiment.Bench) {
			b.ServerHello.Host = facts(func(f map[string]any) { f["kernel_release"] = "6.19" })
		}, `kernel_release of the server was "6.18", is "6.19"`},
		"CPUs of the client": {func(_ *result.Dir, b *experiment.Bench) {
			b.ClientHello.Host = facts(func(f map[string]any) { f["cpus_online"] = []int{0} })
		}, "cpus_online of the client was [0,1], is [0]"},
		"a fact is gone": {func(_ *result.Dir, b *experiment.Bench) {
			b.ServerHello.Host = facts(func(f map[string]any) { delete(f, "mitigations") })
		}, `mitigations of the server was {"x":"y"}, is unknown`},
		"program": {func(d *result.Dir, _ *experiment.Bench) { d.Manifest.Versions.Stackmeter = "v0.0.1" }, "stackmeter was v0.0.1"},
		"rights gained": {func(d *result.Dir, _ *experiment.Bench) {
			d.Manifest.Warnings = []trial.Warning{{Code: "left-out"}, {Code: "lost-irq-affinity"}}
		}, "was [irq-affinity], is []"},
		"rights lost": {func(_ *result.Dir, b *experiment.Bench) {
			b.ServerHello.Lost = []agent.Limit{{What: "cpu-hotplug"}}
		}, "was [], is [cpu-hotplug]"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &result.Dir{Path: "r", Hosts: result.Hosts{"server": facts(nil), "client": facts(nil)}}
			d.Manifest.Versions.Stackmeter = version()
			b := &experiment.Bench{ServerHello: agent.Hello{Host: facts(nil)}, ClientHello: agent.Hello{Host: facts(nil)}}
			c.change(d, b)
			err := sameAsBegun(d, b)
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestHostFlags wants NICs refused before anything is made, also by --dry-run.
func TestHostFlags(t *testing.T) {
	for want, h := range map[string]hostFlags{
		"":                          {},
		"need both --nic":           {nics: []string{"lo"}},
		"need both":                 {peer: "192.0.2.1"},
		`there is no NIC "nosuch0"`: {nics: []string{"nosuch0"}, peer: "192.0.2.1"},
	} {
		err := h.check()
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", h, err, want)
		}
	}
}
