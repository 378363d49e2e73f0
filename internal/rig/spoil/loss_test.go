package spoil_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/rig/spoil"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// lossVariable, where set, lets [TestLosses] run for about a minute.
const lossVariable = "STACKMETER_SPOIL_LOSSES"

// leastLoss is what each way is to lose in throughput, or in throughput scaled to CPU.
const leastLoss = 0.1

// TestLosses measures what each way to spoil the rig loses beside the unspoilt rig, in three rounds of
// all, with processes pinned and all else as found.
func TestLosses(t *testing.T) {
	if os.Getenv(lossVariable) == "" {
		t.Skipf("a measurement of about a minute on a quiet machine: set %s=1", lossVariable)
	}
	const nics = "2"
	p := &experiment.Plan{
		Name: "losses", Replicates: 1, MaxAttempts: 1, StrangerLimit: 1,
		Timing: experiment.Timing{RampUp: 300 * time.Millisecond, Window: time.Second, Interval: 100 * time.Millisecond},
		Defaults: experiment.Levels{
			"affinity": "process", "unpinned": "as-found", "client": "same", "mtu": "as-found", "gro": "as-found", "tso": "off",
			"socket_buffer": "0", "message_size": "65536", "receive": "any",
		},
		Experiments: []experiment.Experiment{{Name: "e", Factors: []experiment.FactorLevels{{Name: "nics", Levels: []string{nics}}}}},
	}
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	b, err := experiment.VethBench(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := spoil.Ready(b.Server.PID(), b.Client.PID(), b.Links, b.ServerHello.CPUs)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := experiment.Levels{"nics": nics}.Config(p.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]trial.Trial{}
	measure := func(name string) {
		rec, err := b.Trial(t.Context(), c, p.Timing)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got[name] = append(got[name], rec)
	}
	for range 3 {
		measure("unspoilt")
		for _, k := range spoil.Kinds() {
			if err := r.Plant(k); err != nil {
				t.Fatal(err)
			}
			measure(k.Name)
			if err := r.Unplant(k); err != nil {
				t.Fatal(err)
			}
		}
	}
	median := func(name string, of func(trial.Trial) float64) float64 {
		var v []float64
		for _, rec := range got[name] {
			v = append(v, of(rec))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	throughput := func(rec trial.Trial) float64 { return rec.ThroughputBitsPerSecond }
	scaled := func(rec trial.Trial) float64 { return rec.ScaledToCPU }
	base, baseScaled := median("unspoilt", throughput), median("unspoilt", scaled)
	t.Logf("%-13s %6.2f Gb/s, %6.2f scaled to CPU", "unspoilt", base/1e9, baseScaled/1e9)
	for _, k := range spoil.Kinds() {
		v, s := median(k.Name, throughput), median(k.Name, scaled)
		t.Logf("%-13s %6.2f Gb/s (%+.0f %%), %6.2f scaled to CPU (%+.0f %%)", k.Name, v/1e9, 100*(v/base-1), s/1e9, 100*(s/baseScaled-1))
		if 1-v/base < leastLoss && 1-s/baseScaled < leastLoss {
			t.Errorf("%s loses less than %.0f %%", k.Name, 100*leastLoss)
		}
	}
}
