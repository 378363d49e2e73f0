package analysis

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/synthetic"
)

// TestConfinedIsNoCPU has trials of 1 CPU whose CPU time is a share of 2, as where no CPU
// can be taken offline: no factor and no fit may come of them, whatever was measured.
func TestConfinedIsNoCPU(t *testing.T) {
	trials := synthetic.Trials(synthetic.Options{})
	whole := Analyze(trials, Options{}).experiment(t, "smp").CPUs[0]
	if whole.Points[2].Factor[Server] == nil || whole.Fits[Server] == nil {
		t.Fatalf("the case is none: %+v", whole)
	}
	for i := range trials {
		if trials[i].Levels["cpus"] == "1" {
			trials[i].CPU.Online = 2
		}
	}
	s := Analyze(trials, Options{}).experiment(t, "smp").CPUs[0]
	for _, p := range s.Points {
		for _, m := range []Metric{Server, Machine} {
			if p.Factor[m] != nil || p.Efficiency[m] != nil {
				t.Errorf("%d CPUs: a factor of %s over one that is none: %+v", p.N, m, p.Factor[m])
			}
		}
	}
	for m, f := range s.Fits {
		t.Errorf("a fit of %s over two sizes: %+v", m, f)
	}
	if p := s.Points[2]; p.Factor[Throughput] == nil {
		t.Error("throughput has no factor, and is not scaled to any CPU")
	}
}
