package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestFriedman holds the level where all treatments are equal, with outliers and gaps, and finds a
// quarter that is not.
func TestFriedman(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	runs := 400
	if testing.Short() {
		runs = 60
	}
	draw := func(treatments, blocks int, better float64) [][]float64 {
		out := make([][]float64, blocks)
		for b := range out {
			day := rng.NormFloat64()
			for i := range treatments {
				v := 10 + day + 0.05*rng.NormFloat64()
				if rng.Float64() < 0.05 {
					v -= 3
				}
				if i%4 == 1 {
					v += better
				}
				if rng.Float64() < 0.03 {
					v = math.NaN()
				}
				out[b] = append(out[b], v)
			}
		}
		return out
	}
	for _, treatments := range []int{4, 16} {
		false05, found := 0, 0
		for range runs {
			if p, ok := Friedman(draw(treatments, 6, 0), 0.95); !ok || p <= 0.05 {
				false05++
			}
			if p, ok := Friedman(draw(treatments, 6, 0.5), 0.95); ok && p <= 0.05 {
				found++
			}
		}
		// 3.5 standard errors of the simulation
		if limit := 0.05 + 3.5*math.Sqrt(0.05*0.95/float64(runs)); float64(false05) > limit*float64(runs) {
			t.Errorf("%d treatments that are equal: told apart in %d of %d", treatments, false05, runs)
		}
		if found*10 < runs*7 {
			t.Errorf("%d treatments, a quarter better: found in %d of %d", treatments, found, runs)
		}
		t.Logf("%d treatments: told apart in %d of %d where they are equal, in %d where a quarter is better", treatments, false05, runs, found)
	}
	for blocks, want := range map[int]bool{1: false, 3: true} {
		if _, ok := Friedman(draw(4, blocks, 9), 0.95); ok != want {
			t.Errorf("4 treatments, %d blocks: enough %v", blocks, ok)
		}
	}
	if _, ok := Friedman(nil, 0.95); ok {
		t.Error("nothing is enough")
	}
}
