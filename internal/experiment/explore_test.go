package experiment_test

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"testing"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func TestExplore(t *testing.T) {
	if os.Getenv("EXPLORE") == "" {
		t.Skip("x")
	}
	p := plan(
		experiment.FactorLevels{Name: "nics", Levels: []string{"2"}},
		experiment.FactorLevels{Name: "client", Levels: []string{"as-found", "same", "opposite", "unpinned"}},
		experiment.FactorLevels{Name: "affinity", Levels: []string{"none", "irq", "process", "both", "opposite"}},
	)
	p.Replicates = 4
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	b, err := experiment.VethBench(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m := map[string][]trial.Trial{}
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 1), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			k := trial.Cell(rec.Levels)
			m[k] = append(m[k], rec)
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	med := func(v []float64) float64 { sort.Float64s(v); return (v[len(v)/2] + v[(len(v)-1)/2]) / 2 }
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		var a, b, c []float64
		for _, x := range m[k] {
			a = append(a, x.ThroughputBitsPerSecond/1e9)
			b = append(b, x.ScaledToCPU/1e9)
			c = append(c, x.ServerScaledToCPU/1e9)
		}
		fmt.Printf("%-55s thr %6.2f  machine %6.2f server %6.2f %v\n", k, med(a), med(b), med(c), b)
	}
}
