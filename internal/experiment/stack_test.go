package experiment_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestTrialsOnAStack runs the engine ustack with its techniques beside the kernel's sockets,
// on NICs with GRO and without, in an order in which each state follows the other.
func TestTrialsOnAStack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: sets offloads of NICs")
	}
	p := plan(experiment.FactorLevels{Name: "gro", Levels: []string{"off", "on"}})
	p.Replicates, p.MaxAttempts = 2, 3 // on a busy machine a trial may fail
	p.Defaults["receive"], p.Defaults["unpinned"] = "any", "as-found"
	p.Timing.RampUp = 300 * time.Millisecond // on a busy machine flows that are goroutines begin late
	p.Experiments = append(p.Experiments, experiment.Experiment{
		Name: "stack", Effects: true, Factors: []experiment.FactorLevels{
			{Name: "engine", Levels: []string{"ustack"}},
			{Name: "gro", Levels: []string{"off"}},
			{Name: "stack_gather", Levels: []string{"1", "64"}},
			{Name: "stack_checksum", Levels: []string{"arrival", "reader"}},
			{Name: "stack_buffers", Levels: []string{"single"}},
		},
	})
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
	seen := 0
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 3), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			if rec.Status == trial.Failed && rec.Attempt < p.MaxAttempts {
				t.Logf("%s: %s", trial.Cell(rec.Levels), rec.Error)
				return nil
			}
			seen++
			if rec.Status != trial.OK || rec.ThroughputBitsPerSecond < 1e6 || rec.CPU.Groups["server"] <= 0 {
				t.Errorf("%s: %s %s, %v b/s, groups %v", trial.Cell(rec.Levels), rec.Status, rec.Error, rec.ThroughputBitsPerSecond, rec.CPU.Groups)
				return nil
			}
			inForce := map[string]string{}
			for _, k := range rec.Knobs {
				inForce[k.Name] = k.Value
			}
			for _, technique := range []string{"gather", "checksum", "buffers"} {
				if want := rec.Levels["stack_"+technique]; inForce["stack-"+technique] != want {
					t.Errorf("%s: technique %s is %q in force", trial.Cell(rec.Levels), technique, inForce["stack-"+technique])
				}
			}
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := 2*2 + 4*2; seen != want {
		t.Errorf("%d trials, want %d", seen, want)
	}
}

// TestStackFactorsNeedTheStack refuses techniques of a stack that would not be there.
func TestStackFactorsNeedTheStack(t *testing.T) {
	for _, factor := range []experiment.FactorLevels{
		{Name: "stack_gather", Levels: []string{"1"}}, {Name: "stack_device", Levels: []string{"tun"}},
	} {
		if err := plan(factor).Normalize(); err == nil || !strings.Contains(err.Error(), "ustack") {
			t.Errorf("%s on the kernel's sockets: error %v", factor.Name, err)
		}
	}
	p := plan(experiment.FactorLevels{Name: "engine", Levels: []string{"ustack"}})
	if err := p.Normalize(); err == nil || !strings.Contains(err.Error(), "as-found") {
		t.Errorf("scattered, on the stack: error %v", err)
	}
	for _, factor := range []experiment.FactorLevels{
		{Name: "stack_gather", Levels: []string{"0"}}, {Name: "stack_copy", Levels: []string{"none-such"}}, {Name: "stack_device", Levels: []string{"veth"}},
	} {
		p := plan(factor)
		p.Defaults["engine"] = "ustack"
		if err := p.Normalize(); err == nil || !strings.Contains(err.Error(), "factors."+factor.Name) {
			t.Errorf("%s=%s: error %v", factor.Name, factor.Levels[0], err)
		}
	}
}
