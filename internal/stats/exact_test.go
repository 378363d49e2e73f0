package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	mm "github.com/aclements/go-moremath/stats"
	"pgregory.net/rapid"
)

// The signed-rank distribution against all 2^n ways to sign the ranks.
func TestSignedRankByEnumeration(t *testing.T) {
	for n := 1; n <= 12; n++ {
		counts := make([]int, n*(n+1)/2+1)
		for signs := range 1 << n {
			sum := 0
			for r := 1; r <= n; r++ {
				if signs>>(r-1)&1 == 1 {
					sum += r
				}
			}
			counts[sum]++
		}
		cdf, cum := signedRankCDF(n), 0
		for v, c := range counts {
			cum += c
			if got, want := cdf(v), float64(cum)/float64(int(1)<<n); math.Abs(got-want) > 1e-12 {
				t.Errorf("n=%d: P(T<=%d) = %v, by enumeration %v", n, v, got, want)
			}
		}
	}
}

// The U distribution against all ways to place n of n+m ranks.
func TestMannWhitneyByEnumeration(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for m := 1; m <= 6; m++ {
			counts := make([]int, n*m+1)
			total := 0
			for set := range 1 << (n + m) {
				u, below, ones := 0, 0, 0
				for r := range n + m {
					if set>>r&1 == 1 {
						u += below
						ones++
					} else {
						below++
					}
				}
				if ones == n {
					counts[u]++
					total++
				}
			}
			cdf, cum := uCDF(n, m), 0
			for u, c := range counts {
				cum += c
				if got, want := cdf(u), float64(cum)/float64(total); math.Abs(got-want) > 1e-12 {
					t.Errorf("n=%d m=%d: P(U<=%d) = %v, by enumeration %v", n, m, u, got, want)
				}
			}
		}
	}
}

// Where counting gives way to the normal approximation the two must agree.
func TestApproximationsMeetTheExact(t *testing.T) {
	exact := uCDF(50, 50)
	mu, sd := 1250.0, math.Sqrt(50*50*101/12.0)
	approx := normalCDF(mu, sd)
	for _, u := range []int{900, 1000, 1100, 1250} {
		if d := math.Abs(exact(u) - approx(u)); d > 1e-3 {
			t.Errorf("U at %d: exact %v, normal %v", u, exact(u), approx(u))
		}
	}
	f := 200.0
	exact, approx = signedRankCDF(200), normalCDF(f*(f+1)/4, math.Sqrt(f*(f+1)*(2*f+1)/24))
	for _, v := range []int{8000, 9000, 10050} {
		if d := math.Abs(exact(v) - approx(v)); d > 1e-3 {
			t.Errorf("T at %d: exact %v, normal %v", v, exact(v), approx(v))
		}
	}
}

func distinct(t *rapid.T, name string, n int) []float64 {
	ints := rapid.SliceOfNDistinct(rapid.IntRange(1, 1<<30), n, n, rapid.ID[int]).Draw(t, name)
	xs := make([]float64, n)
	for i, v := range ints {
		xs[i] = float64(v)
	}
	return xs
}

// Without ties, Shift's p-value is the U test's, and its interval excludes 0
// exactly when that is significant.
func TestShiftAgreesWithUTest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 9).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "m")
		all := distinct(t, "values", n+m)
		x, y := all[:n], all[n:]
		if rapid.Bool().Draw(t, "apart") {
			for i := range y {
				y[i] += 1 << 29
			}
			if slices.ContainsFunc(y, func(v float64) bool { return slices.Contains(x, v) }) {
				t.Skip("tied")
			}
		}
		const confidence = 0.95
		c, err := Shift(x, y, confidence)
		if err != nil {
			t.Fatal(err)
		}
		u, err := mm.MannWhitneyUTest(x, y, mm.LocationDiffers)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(c.P-u.P) > 1e-9 {
			t.Fatalf("p = %v, the U test says %v", c.P, u.P)
		}
		if c.Excludes(0, confidence) != (u.P <= 1-confidence) {
			t.Fatalf("interval [%v, %v] at %v, but p = %v", c.Lo, c.Hi, c.Confidence, u.P)
		}
		if c.Lo > c.Value || c.Value > c.Hi {
			t.Fatalf("value %v outside [%v, %v]", c.Value, c.Lo, c.Hi)
		}
	})
}

// Moving a sample moves estimates by as much; turning the samples round turns
// the sign.
func TestEquivariance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		x, y := distinct(t, "x", n), distinct(t, "y", n)
		by := float64(rapid.IntRange(-1<<30, 1<<30).Draw(t, "by"))
		moved := slices.Clone(y)
		for i := range moved {
			moved[i] += by
		}
		a, _ := Shift(x, y, 0.95)
		b, _ := Shift(x, moved, 0.95)
		if b.Value-a.Value != by || b.Lo-a.Lo != by || b.Hi-a.Hi != by {
			t.Fatalf("moved by %v: %+v became %+v", by, a, b)
		}
		r, _ := Shift(y, x, 0.95)
		if r.Value != -a.Value || r.Lo != -a.Hi || r.P != a.P {
			t.Fatalf("reversed: %+v became %+v", a, r)
		}
	})
}

// Textbook values: Hollander & Wolfe's depression data (signed rank) and
// R's wilcox.test on the same.
func TestCenterKnown(t *testing.T) {
	x := []float64{1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30}
	y := []float64{0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29}
	d := make([]float64, len(x))
	for i := range x {
		d[i] = x[i] - y[i]
	}
	c, err := Center(d, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	// R: wilcox.test(x, y, paired=TRUE, conf.int=TRUE): p = 0.03906,
	// estimate 0.46, interval 0.01 to 0.786.
	for _, v := range []struct{ got, want float64 }{{c.P, 0.0390625}, {c.Value, 0.46}, {c.Lo, 0.01}, {c.Hi, 0.786}} {
		if math.Abs(v.got-v.want) > 5e-4 {
			t.Errorf("got %v, want %v (%+v)", v.got, v.want, c)
		}
	}
}

// Hollander & Wolfe's permeability data, as in R's help page of wilcox.test.
func TestShiftKnown(t *testing.T) {
	x := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	y := []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	c, err := Shift(y, x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	// R: W = 35, two-sided p = 0.2544, estimate 0.305, interval -0.15 to 0.76.
	for _, v := range []struct{ got, want float64 }{{c.P, 0.2544}, {c.Value, 0.305}, {c.Lo, -0.15}, {c.Hi, 0.76}} {
		if math.Abs(v.got-v.want) > 5e-4 {
			t.Errorf("got %v, want %v (%+v)", v.got, v.want, c)
		}
	}
}

// Intervals of skewed samples cover the truth as often as they claim.
func TestCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	skewed := func(n int) []float64 {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = math.Exp(rng.NormFloat64())
		}
		return xs
	}
	for _, n := range []int{3, 6, 9, 20} {
		var med, gain, center int
		var medC, gainC, centerC float64
		for range rounds {
			m, _ := Median(skewed(n), 0.95)
			if m.Lo <= 1 && 1 <= m.Hi {
				med++
			}
			a, b := skewed(n), skewed(n)
			for i := range b {
				b[i] *= 1.5
			}
			g, _ := Gain(a, b, 0.95)
			if g.Lo <= 0.5 && 0.5 <= g.Hi {
				gain++
			}
			for i := range b {
				b[i] /= a[i]
			}
			p, _ := PairedGain(b, 0.95)
			if p.Lo <= 0.5 && 0.5 <= p.Hi {
				center++
			}
			medC, gainC, centerC = m.Confidence, g.Confidence, p.Confidence
		}
		for _, v := range []struct {
			name string
			hits int
			want float64
		}{{"median", med, medC}, {"gain", gain, gainC}, {"paired gain", center, centerC}} {
			got := float64(v.hits) / float64(rounds)
			// 3.5 standard errors of the simulation
			if tol := 3.5 * math.Sqrt(v.want*(1-v.want)/float64(rounds)); math.Abs(got-v.want) > tol+1e-9 {
				t.Errorf("n=%d: the %s covers the truth in %.1f %%, it claims %.1f %%", n, v.name, 100*got, 100*v.want)
			}
			if n >= 6 && v.want < 0.95 {
				t.Errorf("n=%d: the %s claims only %v", n, v.name, v.want)
			}
		}
	}
}
