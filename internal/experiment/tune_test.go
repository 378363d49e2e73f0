package experiment_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestTuneFactors holds the levels of package tune's settings against their forms.
func TestTuneFactors(t *testing.T) {
	for _, x := range []struct{ factor, level, want, fault string }{
		{"tune.net.ipv4.tcp_rmem", " 4096  8192 16384 ", "4096 8192 16384", ""},
		{"client.gro", "off", "off", ""},
		{"tune.mtu", "as-found", "as-found", ""},
		{"tune.net.ipv4.tcp_rmem", "lots", "", "want three numbers"},
		{"tune.tcp_rmem", "1 2 3", "", "did you mean net.ipv4.tcp_rmem"},
		{"client.nonsense", "1", "", "unknown setting"},
	} {
		f, err := experiment.FindFactor(x.factor)
		var got string
		if err == nil {
			var c experiment.Config
			got, err = f.Set(&c, x.level)
		}
		switch {
		case x.fault == "" && (err != nil || got != x.want):
			t.Errorf("%s=%s: %q, %v; want %q", x.factor, x.level, got, err, x.want)
		case x.fault != "" && (err == nil || !strings.Contains(err.Error(), x.fault)):
			t.Errorf("%s=%s: %v, want %q", x.factor, x.level, err, x.fault)
		}
	}
}

// TestTunedTrials wants what a trial tunes in force and in its record, what the next leaves as found
// as it was before, and a value that the kernel doesn't take to fail the trial.
func TestTunedTrials(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: pins the kernel threads of NICs")
	}
	const least = "tune.net.ipv4.tcp_rmem"
	cells := []experiment.Levels{
		{least: "4096 8192 16384", "tune.mtu": "900", "client.tx-queue-length": "777"},
		{least: experiment.LevelAsFound, "tune.mtu": experiment.LevelAsFound, "client.tx-queue-length": experiment.LevelAsFound},
	}
	defaults := experiment.Levels{
		"mtu": experiment.LevelAsFound, "gro": experiment.LevelAsFound, "tso": experiment.LevelAsFound, "congestion": experiment.LevelAsFound,
		"unpinned": "as-found", "socket_buffer": "0",
	}
	p := plan(experiment.FactorLevels{Name: "nics", Levels: []string{"1"}})
	p.Defaults = defaults
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	b, err := experiment.VethBench(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	run := func(l experiment.Levels) (map[string]trial.Knob, trial.Trial) {
		c, err := l.Config(p.Defaults)
		if err != nil {
			t.Fatal(err)
		}
		rec, _ := b.Trial(t.Context(), c, p.Timing)
		at := map[string]trial.Knob{}
		for _, k := range rec.Knobs {
			at[k.Name+" "+k.Target] = k
		}
		return at, rec
	}
	for range 2 { // the second round meets what the first left
		tuned, rec := run(cells[0])
		if rec.Status != trial.OK {
			t.Fatal(rec.Error)
		}
		for key, want := range map[string]string{
			"net.ipv4.tcp_rmem server:machine": "4096 8192 16384", "mtu server:srv0": "900", "mtu client:cli0": "900", "tx_queue_len client:cli0": "777",
		} {
			if tuned[key].Value != want || tuned[key].Mechanism == agent.FoundMechanism {
				t.Errorf("tuned: %s %+v, want %s", key, tuned[key], want)
			}
		}
		if s := rec.Flows[0].Sender; s == nil || s.SegmentBytes == 0 || s.SegmentBytes > 900 || s.BusySeconds <= 0 {
			t.Errorf("tuned: the sender says %+v, want segments below the MTU of 900", s)
		}
		found, rec := run(cells[1])
		if rec.Status != trial.OK {
			t.Fatal(rec.Error)
		}
		for key, want := range map[string]string{"mtu server:srv0": "1500", "mtu client:cli0": "1500", "tso client:cli0": "on"} {
			if found[key].Value != want || found[key].Mechanism != agent.FoundMechanism {
				t.Errorf("as found: %s %+v, want %s", key, found[key], want)
			}
		}
		if _, ok := found["gro server:srv0"]; !ok || rec.Flows[0].CongestionControl == "" {
			t.Errorf("as found: GRO %v, congestion control %q in the record, want both", ok, rec.Flows[0].CongestionControl)
		}
	}
	if _, rec := run(experiment.Levels{"tune.net.ipv4.tcp_congestion_control": "nosuch"}); rec.Status != trial.Failed || !strings.Contains(rec.Error, "tcp_congestion_control") {
		t.Errorf("%s %q, want a failed trial that names the setting", rec.Status, rec.Error)
	}
}
