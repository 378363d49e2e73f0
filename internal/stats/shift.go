package stats

import (
	"fmt"
	"math"
	"slices"

	mm "github.com/aclements/go-moremath/stats"
)

// Comparison is an estimate with the p-value of 'no difference'. The two
// agree: without ties the interval excludes 0 exactly when P <= 1-confidence.
type Comparison struct {
	Estimate
	P float64 `json:"p"` // two-sided, exact up to the named sizes
}

// exactShift is the largest sample whose Mann-Whitney distribution is counted
// out; above, the normal approximation with continuity correction stands in.
const exactShift = 50

// Shift is by how much ys lie above xs: the Hodges-Lehmann estimate (median of
// all differences y-x) with the interval that inverts the Mann-Whitney U test.
// Give it logarithms, and exp of the result is a ratio.
//
// The U distribution is exact for samples up to 50. Ties between the samples
// count against a difference (conservative). 95 % needs 4 values each (or 3
// and 5, ...).
func Shift(xs, ys []float64, confidence float64) (Comparison, error) {
	x, err := sorted(xs)
	if err != nil {
		return Comparison{}, err
	}
	y, err := sorted(ys)
	if err != nil {
		return Comparison{}, err
	}
	d := make([]float64, 0, len(x)*len(y))
	for _, b := range y {
		for _, a := range x {
			d = append(d, b-a)
		}
	}
	slices.Sort(d)
	c := invert(d, uCDF(len(x), len(y)), confidence)
	c.N = min(len(x), len(y))
	if c.Confidence < confidence {
		c.Warnings = append(c.Warnings, tooSmall(fmt.Sprintf("difference of %d and %d values", len(x), len(y)),
			c.Confidence, confidence, "use 4 replicates or more"))
	}
	return c, nil
}

// uCDF gives P(U <= u) for samples without ties.
func uCDF(n, m int) func(u int) float64 {
	if n <= exactShift && m <= exactShift {
		d := mm.UDist{N1: n, N2: m}
		return func(u int) float64 {
			if u < 0 {
				return 0
			}
			return d.CDF(float64(u))
		}
	}
	mu := float64(n) * float64(m) / 2
	sd := math.Sqrt(float64(n) * float64(m) * float64(n+m+1) / 12)
	return normalCDF(mu, sd)
}

func normalCDF(mu, sd float64) func(int) float64 {
	return func(u int) float64 {
		if u < 0 {
			return 0
		}
		return mm.StdNormal.CDF((float64(u) + 0.5 - mu) / sd)
	}
}

// invert turns the sorted elementary estimates d (differences, or Walsh
// averages) and the null distribution of 'how many of them are negative' into
// the Hodges-Lehmann estimate, its interval [d(k), d(n+1-k)] for the largest k
// with 2*P(T <= k-1) <= 1-confidence, and the two-sided p-value.
func invert(d []float64, cdf func(int) float64, confidence float64) Comparison {
	alpha := 1 - confidence
	// 1e-12 forgives rounding where the level is met exactly.
	k, hi := 0, len(d)/2
	for k < hi {
		if mid := (k + hi + 1) / 2; 2*cdf(mid-1) <= alpha+1e-12 {
			k = mid
		} else {
			hi = mid - 1
		}
	}
	// Too few values for the level: take the widest interval there is.
	k = max(k, 1)
	c := Comparison{Estimate: Estimate{
		Value: middle(d), Lo: d[k-1], Hi: d[len(d)-k],
		Confidence: max(0, 1-2*cdf(k-1)),
	}}
	var notAbove, notBelow int
	for _, v := range d {
		if v <= 0 {
			notAbove++
		}
		if v >= 0 {
			notBelow++
		}
	}
	c.P = min(1, 2*cdf(min(notAbove, notBelow)))
	return c
}
