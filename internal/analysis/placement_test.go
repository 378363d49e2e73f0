package analysis_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// placed makes trials of two NICs; shared is what each carries of its share on one bus.
func placed(shared float64) (out []trial.Trial) {
	for rep := 1; rep <= 6; rep++ {
		for _, bus := range []string{"shared", "separate"} {
			noise := 1 + 0.01*float64(rep%3)
			each := []float64{400e6 * noise, 200e6 * noise}
			if bus == "shared" {
				each[0], each[1] = each[0]*shared, each[1]*shared
			}
			t := trial.Trial{
				ID: fmt.Sprintf("two.%d.%s", rep, bus), Experiment: "two", Replicate: rep, Status: trial.OK, WindowSeconds: 1,
				Levels: map[string]string{"nics": "2", "bus": bus}, ThroughputBitsPerSecond: each[0] + each[1],
				Flows: []trial.Flow{ // the second NIC has two
					{NIC: 0, ThroughputBitsPerSecond: each[0]},
					{NIC: 1, ThroughputBitsPerSecond: each[1] / 2},
					{NIC: 1, ThroughputBitsPerSecond: each[1] / 2},
				},
			}
			out = append(out, t)
		}
	}
	return out
}

// TestPlacement wants totals and what each NIC carried, separate buses first, and a claim only
// where there is a difference.
func TestPlacement(t *testing.T) {
	for share, want := range map[float64]analysis.Verdict{0.6: analysis.Less, 1: analysis.NoDifference} {
		e := analysis.Analyze(placed(share), analysis.Options{}).Experiments[0]
		if e.Primary != analysis.Throughput || len(e.Placement) != 1 || len(e.Placement[0].Cases) != 2 {
			t.Fatalf("%s, %+v", e.Primary, e.Placement)
		}
		p := e.Placement[0]
		if p.Cases[0].Bus != "separate" || p.Cases[1].Bus != "shared" {
			t.Errorf("cases %s, %s", p.Cases[0].Bus, p.Cases[1].Bus)
		}
		for i, nic := range []float64{404e6, 202e6} {
			if got := p.Cases[1].NICs[i].Value; math.Abs(got-nic*share) > 5e6 {
				t.Errorf("NIC %d on a shared bus: %.0f, want %.0f", i, got, nic*share)
			}
		}
		if g := p.Gain[0]; g == nil || g.Verdict != want {
			t.Errorf("share %.1f: %+v, want %s", share, g, want)
		}
	}
}
