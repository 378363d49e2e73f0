package stats

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMedianSaysItsConfidence(t *testing.T) {
	for n, want := range map[int]float64{1: 0, 2: 0.5, 3: 0.75, 5: 0.9375, 6: 0.96875, 9: 0.9609375} {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = float64(n - i)
		}
		e, err := Median(xs, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(e.Confidence-want) > 1e-9 {
			t.Errorf("n=%d: confidence %v, want %v", n, e.Confidence, want)
		}
		if warned := len(e.Warnings) > 0; warned != (n < 6) {
			t.Errorf("n=%d: warnings %q", n, e.Warnings)
		}
		if n < 6 && !strings.Contains(e.Warnings[0], "6 replicates") {
			t.Errorf("n=%d: the warning names no mend: %q", n, e.Warnings[0])
		}
		if xs[0] != float64(n) {
			t.Error("the sample was altered")
		}
	}
	e, _ := Median([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0.95)
	if e.Value != 5 || e.Lo != 2 || e.Hi != 8 {
		t.Errorf("median of 1..9: %+v, want 5 in [2, 8]", e)
	}
	if MedianSamples(0.95) != 6 || MedianSamples(0.99) != 8 {
		t.Errorf("MedianSamples: %d, %d", MedianSamples(0.95), MedianSamples(0.99))
	}
}

func TestRefusals(t *testing.T) {
	if _, err := Median(nil, 0.95); !errors.Is(err, ErrNoData) {
		t.Errorf("empty: %v", err)
	}
	if _, err := Shift([]float64{1}, []float64{math.NaN()}, 0.95); err == nil {
		t.Error("NaN passed")
	}
	if _, err := Gain([]float64{0}, []float64{1}, 0.95); err == nil || !strings.Contains(err.Error(), "baseline") {
		t.Errorf("zero baseline: %v", err)
	}
	if _, err := FitUSL([]Point{{1, []float64{1}}, {2, []float64{2}}}, 0.95, 1); !errors.Is(err, ErrTooFewPoints) {
		t.Errorf("two sizes: %v", err)
	}
	if _, err := FitUSL([]Point{{0, []float64{1}}, {2, []float64{2}}, {3, []float64{2}}}, 0.95, 1); err == nil {
		t.Error("size 0 passed")
	}
}

// The smallest samples that can tell a difference, and the next smaller.
func TestSmallestSamples(t *testing.T) {
	for n := 1; n <= 6; n++ {
		a, b := make([]float64, n), make([]float64, n)
		ratios := make([]float64, n)
		for i := range a {
			a[i], b[i], ratios[i] = 100+float64(i), 200+float64(i), 2+float64(i)/10
		}
		g, _ := Gain(a, b, 0.95)
		if got, want := g.Excludes(0, 0.95), n >= 4; got != want {
			t.Errorf("gain of %d: excludes 0: %v, want %v (%+v)", n, got, want, g)
		}
		p, _ := PairedGain(ratios, 0.95)
		if got, want := p.Excludes(0, 0.95), n >= 6; got != want {
			t.Errorf("paired gain of %d: excludes 0: %v, want %v (%+v)", n, got, want, p)
		}
	}
}

// Every result can be written as JSON, whatever the sample.
func TestResultsAreFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SliceOfN(rapid.Float64Range(1e-3, 1e12), 1, 25)
		x, y := gen.Draw(t, "x"), gen.Draw(t, "y")
		m, err := Median(x, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		g, err := Gain(x, y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		p, err := PairedGain(x, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []Estimate{m, g.Estimate, p.Estimate} {
			if e.Lo > e.Value*(1+1e-12)+1e-9 || e.Value > e.Hi*(1+1e-12)+1e-9 || e.Confidence < 0 || e.Confidence > 1 {
				t.Fatalf("%+v", e)
			}
		}
		if _, err := json.Marshal([]any{m, g, p}); err != nil {
			t.Fatal(err)
		}
		FindModes(x)
	})
}

// modesCritical is what simulation gives.
func TestModesCritical(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const rounds = 20000
	for _, n := range []int{6, 8, 12, 20} {
		over, normal := 0, 0
		for range rounds {
			s := make([]float64, n)
			for i := range s {
				s[i] = rng.Float64()
			}
			slices.Sort(s)
			if _, e := bestSplit(s); e > modesCritical[n] {
				over++
			}
			for i := range s {
				s[i] = 10 + rng.NormFloat64()
			}
			if _, found := FindModes(s); found {
				normal++
			}
		}
		if share := float64(over) / rounds; share < 0.006 || share > 0.014 {
			t.Errorf("n=%d: uniform noise passes in %.2f %%, want 1 %%", n, 100*share)
		}
		if share := float64(normal) / rounds; share > 0.005 {
			t.Errorf("n=%d: normal noise of 10 %% shows modes in %.2f %%", n, 100*share)
		}
	}
}

func TestFindModes(t *testing.T) {
	for _, c := range []struct {
		name string
		xs   []float64
		want bool
	}{
		{"two tight groups", []float64{4.2, 13.6, 4.3, 13.4, 4.1, 13.5}, true},
		{"two of six apart", []float64{4.2, 4.25, 4.3, 4.1, 13.4, 13.6}, true},
		{"one outlier", []float64{4.2, 4.25, 4.3, 4.1, 4.15, 13.6}, false},
		{"apart by 2 %", []float64{100, 100.01, 100.02, 102, 102.01, 102.02}, false},
		{"five values", []float64{4.2, 4.3, 13.4, 13.5, 13.6}, false},
		{"evenly spread", []float64{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"all equal", []float64{5, 5, 5, 5, 5, 5}, false},
		{"large figures", []float64{1e15, 1e15 + 1, 1e15 + 2, 3e15, 3e15 + 1, 3e15 + 2}, true},
	} {
		if m, got := FindModes(c.xs); got != c.want {
			t.Errorf("%s: %v, want %v (%+v)", c.name, got, c.want, m)
		}
	}
	// Groups as wide as FACTS of a real bimodal engine: noise of 4 % in each.
	rng := rand.New(rand.NewPCG(5, 5))
	found := 0
	for range 1000 {
		xs := make([]float64, 8)
		for i := range xs {
			xs[i] = (1 + float64(i%2)*0.7) * (1 + 0.04*rng.NormFloat64())
		}
		if _, ok := FindModes(xs); ok {
			found++
		}
	}
	if found < 900 {
		t.Errorf("modes 70 %% apart with 4 %% noise found in %d of 1000", found)
	}
}

func TestUSLRecoversParameters(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, want := range [][3]float64{{1e9, 0.05, 0.002}, {6e8, 0.4, 0}, {2e9, 0, 0.01}, {1e9, 0, 0}} {
		var pts []Point
		for _, n := range []float64{1, 2, 4, 8, 16} {
			p := Point{N: n}
			for range 6 {
				p.Xs = append(p.Xs, uslAt(want, n)*(1+0.01*rng.NormFloat64()))
			}
			pts = append(pts, p)
		}
		u, err := FitUSL(pts, 0.95, 1)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]Estimate{u.Lambda, u.Sigma, u.Kappa}
		tol := [3]float64{0.02 * want[0], 0.015, 0.001}
		for i, e := range got {
			if math.Abs(e.Value-want[i]) > tol[i] || e.Lo > e.Value || e.Hi < e.Value || e.Value < 0 {
				t.Errorf("parameter %d of %v: %+v", i, want, e)
			}
		}
		if want[2] > 0 {
			peak := math.Sqrt((1 - want[1]) / want[2])
			if math.Abs(u.PeakN-peak) > 0.2*peak {
				t.Errorf("peak of %v at %v, want %v", want, u.PeakN, peak)
			}
		}
		again, _ := FitUSL(pts, 0.95, 1)
		if again.Sigma.Lo != u.Sigma.Lo || again.Kappa.Hi != u.Kappa.Hi {
			t.Error("the same seed gave another interval")
		}
		if _, err := json.Marshal(u); err != nil {
			t.Error(err)
		}
	}
}

// No parameters near by fit better: the solution is the constrained optimum.
func TestUSLIsOptimal(t *testing.T) {
	cost := func(p [3]float64, n, x []float64) float64 {
		var c float64
		for i := range n {
			r := x[i]/uslAt(p, n[i]) - 1
			c += r * r
		}
		return c
	}
	refused, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		all++
		n := []float64{1, 2, 3, 4}
		x := make([]float64, 4)
		for i := range x {
			x[i] = rapid.Float64Range(1, 10).Draw(t, "x")
		}
		p, ok := solveUSL(n, x)
		if !ok {
			// The best has no finite rate at size 1; FitUSL refuses it.
			refused++
			return
		}
		if p[1] < 0 || p[2] < 0 {
			t.Fatalf("negative parameter: %v", p)
		}
		best := cost(p, n, x)
		for i := range p {
			for _, f := range []float64{0.99, 1.01} {
				q := p
				q[i] = max(q[i], 1e-6) * f
				if c := cost(q, n, x); c < best-1e-9 {
					t.Fatalf("%v costs %v, %v less: %v", p, best, q, c)
				}
			}
		}
	})
	if refused > all/4 {
		t.Errorf("%d of %d samples refused", refused, all)
	}
}

func TestUSLWithoutReplicatesSaysSo(t *testing.T) {
	u, err := FitUSL([]Point{{1, []float64{604}}, {2, []float64{699}}, {3, []float64{720}}}, 0.95, 1)
	if err != nil {
		t.Fatal(err)
	}
	if u.Sigma.Confidence != 0 || len(u.Warnings) != 2 {
		t.Errorf("%+v", u)
	}
	if math.Abs(u.At(1)-604) > 15 {
		t.Errorf("at 1: %v", u.At(1))
	}
}

// The law can't grow faster than N: a fit of such figures must say that it is
// none.
func TestUSLSaysWhenItDoesNotFit(t *testing.T) {
	u, err := FitUSL([]Point{{1, []float64{4.3, 4.4}}, {2, []float64{9.8, 9.9}}, {4, []float64{10, 10.1}}}, 0.95, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Warnings) != 1 || !strings.Contains(u.Warnings[0], "does not describe") {
		t.Errorf("%+v", u)
	}
}

func TestCoefficientOfVariation(t *testing.T) {
	if got := CoefficientOfVariation([]float64{9, 10, 11}); math.Abs(got-0.1) > 1e-12 {
		t.Errorf("got %v, want 0.1", got)
	}
	if CoefficientOfVariation([]float64{5}) != 0 {
		t.Error("one value has no spread")
	}
}
