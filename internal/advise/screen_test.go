package advise

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestDesign wants designs in which every two columns have each combination of levels equally
// often, so that no effect is mistaken for another's.
func TestDesign(t *testing.T) {
	for n := 1; n <= mostScreened; n++ {
		rows := design(n)
		if len(rows) != 12 && len(rows) != 20 && len(rows) != 24 || len(rows[0]) < n {
			t.Fatalf("%d remedies: %d runs of %d columns", n, len(rows), len(rows[0]))
		}
		for a := range rows[0] {
			for b := range a {
				var count [4]int
				for _, row := range rows {
					i := 0
					if row[a] {
						i++
					}
					if row[b] {
						i += 2
					}
					count[i]++
				}
				for _, c := range count {
					if c != len(rows)/4 {
						t.Fatalf("%d remedies, columns %d and %d: %v", n, a, b, count)
					}
				}
			}
		}
	}
	if design(mostScreened+1) != nil {
		t.Error("a design for more remedies than the largest takes")
	}
	if s := smaller(20); s != 19 {
		t.Errorf("20 remedies shrink to %d, want 19", s)
	}
	if s := smaller(11); s != 0 {
		t.Errorf("11 remedies shrink to %d, want none", s)
	}
}

// TestFolded wants a design and its fold to tell what one remedy does from what two others do together.
func TestFolded(t *testing.T) {
	rows := append(design(11), folded(design(11))...)
	sign := map[bool]int{true: 1, false: -1}
	for a := range rows[0] {
		for b := range rows[0] {
			for c := range b {
				sum := 0
				for _, row := range rows {
					sum += sign[row[a]] * sign[row[b]] * sign[row[c]]
				}
				if sum != 0 {
					t.Fatalf("column %d is mixed with %d and %d: %d", a, b, c, sum)
				}
			}
		}
	}
}

// TestEffects plants two effects into noise and wants these two, and no other, to survive.
func TestEffects(t *testing.T) {
	remedies := []Remedy{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}, {Name: "f"}}
	rng := rand.New(rand.NewPCG(1, 2))
	var runs []screened
	for _, row := range design(len(remedies)) {
		y := 1e10 * math.Exp(0.02*rng.NormFloat64())
		if row[1] {
			y *= 1.5
		}
		if row[4] {
			y *= 0.7
		}
		runs = append(runs, screened{row, trial.Trial{ThroughputBitsPerSecond: y, ScaledToCPU: y}})
	}
	for i, s := range effects(remedies, runs, func(Remedy) bool { return false }) {
		switch {
		case (s.Name == "b") != s.Survives:
			t.Errorf("%+v", s)
		case s.Name == "b" && (i != 0 || math.Abs(s.Throughput-0.5) > 0.1):
			t.Errorf("at place %d: %+v", i, s)
		case s.Name == "e" && math.Abs(s.Throughput+0.3) > 0.1:
			t.Errorf("%+v", s)
		}
	}
}

// TestOwnNoise has CPU time that scatters more than throughput, and no effect, and wants few remedies to
// survive for it.
func TestOwnNoise(t *testing.T) {
	remedies := []Remedy{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}, {Name: "f"}}
	rng := rand.New(rand.NewPCG(3, 2))
	const designs = 200
	survived := 0
	for range designs {
		var runs []screened
		for _, row := range design(len(remedies)) {
			runs = append(runs, screened{row, trial.Trial{
				ThroughputBitsPerSecond: 1e10 * math.Exp(0.02*rng.NormFloat64()), ScaledToCPU: 1e10 * math.Exp(0.15*rng.NormFloat64()),
			}})
		}
		for _, s := range effects(remedies, runs, func(Remedy) bool { return false }) {
			if s.Survives {
				survived++
			}
		}
	}
	t.Logf("%d of %d remedies survive", survived, designs*len(remedies))
	if survived > designs*len(remedies)/10 {
		t.Errorf("%d of %d remedies survive noise", survived, designs*len(remedies))
	}
}
