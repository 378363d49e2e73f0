package experiment_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func TestMain(m *testing.M) {
	roles := wire.Roles()
	roles[load.WorkerRole], roles[agent.Role] = engines.Worker, agent.Main
	selfexec.Dispatch(roles)
	os.Exit(m.Run())
}

func plan(factors ...experiment.FactorLevels) *experiment.Plan {
	return &experiment.Plan{
		Name: "test", Defaults: experiment.Levels{}, Replicates: 1, MaxAttempts: 1, StrangerLimit: 1,
		Timing:      experiment.Timing{RampUp: 50 * time.Millisecond, Window: 200 * time.Millisecond, Interval: 50 * time.Millisecond},
		Experiments: []experiment.Experiment{{Name: "e", Factors: factors}},
	}
}

func TestTrialsOnVeth(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: pins the kernel threads of NICs")
	}
	p := plan(
		experiment.FactorLevels{Name: "nics", Levels: []string{"2"}},
		experiment.FactorLevels{Name: "affinity", Levels: []string{"none", "irq", "process", "both", "opposite"}},
		experiment.FactorLevels{Name: "unpinned", Levels: []string{"scatter", "as-found"}},
		experiment.FactorLevels{Name: "client", Levels: []string{"as-found"}},
	)
	p.Experiments[0].Include = []experiment.Levels{{"nics": "2", "affinity": "both", "unpinned": "scatter", "client": "same"}}
	if cpus, err := sysx.Affinity(0); err != nil || len(cpus) < 2 {
		t.Skip("needs two CPUs for the case opposite")
	}
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
	cells := map[string]bool{}
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 1), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			cells[trial.Cell(rec.Levels)] = true
			check(t, &rec)
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(cells) != 11 {
		t.Errorf("%d cells were measured, want 11", len(cells))
	}
}

// check holds a trial of 2 NICs against its levels.
func check(t *testing.T, rec *trial.Trial) {
	t.Helper()
	cell := trial.Cell(rec.Levels)
	if rec.Status != trial.OK || rec.ThroughputBitsPerSecond < 1e6 || len(rec.Flows) != 2 {
		t.Errorf("%s: %s %s, %d flows, %v b/s", cell, rec.Status, rec.Error, len(rec.Flows), rec.ThroughputBitsPerSecond)
		return
	}
	if w := rec.WindowSeconds; w < 0.19 || w > 0.3 {
		t.Errorf("%s: window of %v s, want 0.2", cell, w)
	}
	if !rec.CPU.Exact || rec.CPU.Groups["server"] <= 0 || rec.CPU.Groups["client"] <= 0 || rec.ScaledToCPU <= 0 || rec.ServerScaledToCPU < rec.ScaledToCPU {
		t.Errorf("%s: CPU %+v, scaled %v, to the server %v", cell, rec.CPU, rec.ScaledToCPU, rec.ServerScaledToCPU)
	}
	at := map[string]string{} // "name target" -> value
	for _, k := range rec.Knobs {
		at[k.Name+" "+k.Target] = k.Value
	}
	affinity := experiment.Affinity(rec.Levels["affinity"])
	for nic, cpu := range []string{"0", "1"} {
		irq, process := "", ""
		if affinity.PinsIRQ() {
			irq = cpu
		}
		if affinity.PinsProcess() {
			process = cpu
		}
		if affinity == experiment.AffinityOpposite {
			process = map[string]string{"0": "1", "1": "0"}[cpu]
		}
		if got := at[fmt.Sprintf("irq-affinity server:srv%d", nic)]; got != irq {
			t.Errorf("%s: receive work of NIC %d on %q, want %q", cell, nic, got, irq)
		}
		if got := at[fmt.Sprintf("process-affinity server:flow%d", nic)]; got != process {
			t.Errorf("%s: process of NIC %d on %q, want %q", cell, nic, got, process)
		}
		client := map[string]string{"same": cpu}[rec.Levels["client"]]
		if got := at[fmt.Sprintf("irq-affinity client:cli%d", nic)]; got != client {
			t.Errorf("%s: receive work of the client's NIC %d on %q, want %q", cell, nic, got, client)
		}
	}
	scattered := ""
	for k := range at {
		if strings.HasPrefix(k, "scatter server:") {
			scattered = k
		}
	}
	unpinned := !affinity.PinsIRQ() || !affinity.PinsProcess()
	if want := rec.Levels["unpinned"] == "scatter" && unpinned; want != (scattered != "") {
		t.Errorf("%s: scattered %q", cell, scattered)
	}
	if strings.Contains(scattered, "NIC") == affinity.PinsIRQ() && scattered != "" {
		t.Errorf("%s: scattered %q", cell, scattered)
	}
}

// TestBenchRefuses wants what can't be measured to be an error of the trial, and the bench to
// measure on.
func TestBenchRefuses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
	p := plan(experiment.FactorLevels{Name: "nics", Levels: []string{"1"}})
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
	good, err := p.Experiments[0].Cells()[0].Config(p.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*experiment.Config){
		"it needs 2 NICs, there are 1": func(c *experiment.Config) { c.NICs = 2 },
		"cpus: 999":                    func(c *experiment.Config) { c.CPUs = 999 },
		"nosuch":                       func(c *experiment.Config) { c.Congestion = "nosuch" },
		"message_bytes":                func(c *experiment.Config) { c.MessageBytes = 0 },
	} {
		bad := good
		change(&bad)
		rec, err := b.Trial(t.Context(), bad, p.Timing)
		if err == nil || !strings.Contains(err.Error(), want) || rec.Status != trial.Failed || rec.Error != err.Error() {
			t.Errorf("%v (%s), want an error with %q", err, rec.Status, want)
		}
	}
	if rec, err := b.Trial(t.Context(), good, p.Timing); err != nil || rec.ThroughputBitsPerSecond <= 0 {
		t.Errorf("after refused trials: %v", err)
	}
}
