package experiment_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestTrialsOnWire runs trials on NICs in software and holds the records against the levels.
func TestTrialsOnWire(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
	p := plan(
		experiment.FactorLevels{Name: "nics", Levels: []string{"2"}},
		experiment.FactorLevels{Name: "affinity", Levels: []string{"none", "irq", "both"}},
		experiment.FactorLevels{Name: "unpinned", Levels: []string{"scatter"}},
		experiment.FactorLevels{Name: "client", Levels: []string{"same"}},
		experiment.FactorLevels{Name: "bus", Levels: []string{"shared"}},
		experiment.FactorLevels{Name: "bus_rate", Levels: []string{"0.4G"}},
		experiment.FactorLevels{Name: "interrupt_rate", Levels: []string{"4000"}},
		experiment.FactorLevels{Name: "tso", Levels: []string{"off", "on"}},
	)
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	b, err := experiment.WireBench(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	left := 0
	for _, w := range b.Fit(p) {
		if w.Code == "left-out" && strings.Contains(w.Text, "tso=on") {
			left++
		}
	}
	if left != 3 {
		t.Errorf("%d cells with TSO left out, want 3", left)
	}
	cells := 0
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 1), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			cells++
			checkWire(t, &rec)
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cells != 3 {
		t.Errorf("%d cells were measured, want 3", cells)
	}
}

func checkWire(t *testing.T, rec *trial.Trial) {
	t.Helper()
	cell := trial.Cell(rec.Levels)
	if rec.Status != trial.OK {
		t.Errorf("%s: %s", cell, rec.Error)
		return
	}
	if rec.ThroughputBitsPerSecond < 1e6 || rec.ThroughputBitsPerSecond > 0.42e9 || rec.Levels["bus_rate"] != "400Mbit" {
		t.Errorf("%s: %v b/s over a bus of 400 Mb/s", cell, rec.ThroughputBitsPerSecond)
	}
	for _, group := range []string{"server", "client", "wire"} {
		if rec.CPU.Groups[group] <= 0 {
			t.Errorf("%s: CPU time of %s: %v", cell, group, rec.CPU.Groups)
		}
	}
	pinned := map[string]string{}
	for _, k := range rec.Knobs {
		if k.Name == "irq-affinity" && k.Mechanism == "wire-irq" {
			pinned[k.Target] = k.Value
		}
	}
	for nic, cpu := range []string{"0", "1"} {
		name := []string{"srv0", "srv1"}[nic]
		want := ""
		if rec.Levels["affinity"] != "none" {
			want = cpu
		}
		if pinned["server:"+name] != want || pinned["client:"+[]string{"cli0", "cli1"}[nic]] != cpu {
			t.Errorf("%s: interrupts %v, want those of NIC %d on CPU %q and of the client's on %s", cell, pinned, nic, want, cpu)
		}
		c := func(what string) uint64 { return rec.Counters["server."+name+"."+what] }
		if c("ring_frames") == 0 || c("ring_frames") < c("interrupts") || float64(c("interrupts")) > 4000*rec.WindowSeconds*1.5 {
			t.Errorf("%s: %s had %d frames and %d interrupts in %.2f s, want at most 4000/s", cell, name, c("ring_frames"), c("interrupts"), rec.WindowSeconds)
		}
	}
	if !slices.ContainsFunc(rec.Warnings, func(w trial.Warning) bool { return w.Code == "hardware-in-software" }) {
		t.Errorf("%s: nothing tells of the hardware's CPU time: %v", cell, rec.Warnings)
	}
}

// TestWireFactorsElsewhere wants levels that veth can't have left out, with the mend.
func TestWireFactorsElsewhere(t *testing.T) {
	p := plan(
		experiment.FactorLevels{Name: "link_rate", Levels: []string{"as-found", "2500M"}},
		experiment.FactorLevels{Name: "bus", Levels: []string{"as-found", "shared"}},
	)
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	b := &experiment.Bench{Kind: experiment.KindVeth, Links: rig.Plan(1)}
	warnings := b.Fit(p)
	if len(warnings) != 3 || len(p.Experiments[0].Cells()) != 1 {
		t.Fatalf("%v, want three cells left out and one to measure", warnings)
	}
	for _, w := range warnings {
		if w.Code != "left-out" || !strings.Contains(w.Text, "--rig wire") {
			t.Errorf("%+v", w)
		}
	}
}
