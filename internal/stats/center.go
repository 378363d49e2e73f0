package stats

import (
	"fmt"
	"math"
	"slices"
)

// exactCenter is the largest sample whose signed-rank distribution is counted
// out.
const exactCenter = 200

// Center is the one-sample Hodges-Lehmann estimate (median of the Walsh
// averages) with the interval that inverts Wilcoxon's signed-rank test, exact
// up to 200 values. It is for contrasts within blocks, one value a block
// (differences, or logarithms of ratios), whose distribution is symmetric when
// there is no effect. Zeros count against an effect. 95 % needs 6 values.
func Center(xs []float64, confidence float64) (Comparison, error) {
	s, err := sorted(xs)
	if err != nil {
		return Comparison{}, err
	}
	n := len(s)
	w := make([]float64, 0, n*(n+1)/2)
	for i, a := range s {
		for _, b := range s[i:] {
			w = append(w, a+(b-a)/2)
		}
	}
	slices.Sort(w)
	c := invert(w, signedRankCDF(n), confidence)
	c.N = n
	if c.Confidence < confidence {
		c.Warnings = append(c.Warnings, tooSmall(fmt.Sprintf("contrast over %d blocks", n), c.Confidence, confidence,
			fmt.Sprintf("use %d replicates or more", MedianSamples(confidence))))
	}
	return c, nil
}

// signedRankCDF gives P(T <= t), T the sum of the ranks 1..n each taken with
// probability 1/2.
func signedRankCDF(n int) func(int) float64 {
	if n > exactCenter {
		f := float64(n)
		return normalCDF(f*(f+1)/4, math.Sqrt(f*(f+1)*(2*f+1)/24))
	}
	p := make([]float64, n*(n+1)/2+1)
	p[0] = 1
	for rank, top := 1, 0; rank <= n; rank++ {
		top += rank
		for t := top; t >= 0; t-- {
			p[t] /= 2
			if t >= rank {
				p[t] += p[t-rank] / 2
			}
		}
	}
	for t := 1; t < len(p); t++ {
		p[t] += p[t-1]
	}
	return func(t int) float64 {
		if t < 0 {
			return 0
		}
		return p[min(t, len(p)-1)]
	}
}
