package experiment_test

import (
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: load.WorkerMain, agent.Role: agent.Main})
	os.Exit(m.Run())
}

func plan(factors ...experiment.FactorLevels) *experiment.Plan {
	return &experiment.Plan{
		Name: "test", Defaults: experiment.Levels{}, Replicates: 1, MaxAttempts: 1, StrangerLimit: 1,
		Timing:      experiment.Timing{RampUp: 300 * time.Millisecond, Window: 700 * time.Millisecond, Interval: 100 * time.Millisecond},
		Experiments: []experiment.Experiment{{Name: "e", Factors: factors}},
	}
}

func TestTrialsOnVeth(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("building the rig needs root")
	}
	p := plan(
		experiment.FactorLevels{Name: "nics", Levels: []string{"2"}},
		experiment.FactorLevels{Name: "affinity", Levels: []string{"none", "irq", "process", "both", "opposite"}},
		experiment.FactorLevels{Name: "unpinned", Levels: []string{"scatter", "as-found"}},
	)
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
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 1), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			t.Logf("%s %s: %.2f Gb/s scaled %.2f server-scaled %.2f util %.3f groups %v warn %v err %s", rec.Levels["affinity"], rec.Levels["unpinned"], rec.ThroughputBitsPerSecond/1e9, rec.ScaledToCPU/1e9, rec.ServerScaledToCPU/1e9, rec.CPU.Utilization, rec.CPU.Groups, rec.Warnings, rec.Error)
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
