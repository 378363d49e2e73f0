package stats

import (
	"fmt"
	"math"

	"golang.org/x/perf/benchmath"
)

// Median is the sample's median with an interval between order statistics
// (binomial, no assumption about the distribution; golang.org/x/perf/benchmath,
// exact up to 30 values). 95 % needs 6 values; with fewer the interval is the
// whole range, with its true confidence 1 - 2^(1-n), and a warning.
func Median(xs []float64, confidence float64) (Estimate, error) {
	s, err := sorted(xs)
	if err != nil {
		return Estimate{}, err
	}
	n := len(s)
	e := Estimate{Value: middle(s), Lo: s[0], Hi: s[n-1], N: n, Confidence: 1 - math.Pow(2, float64(1-n))}
	if e.Confidence < confidence {
		e.Warnings = append(e.Warnings, tooSmall(fmt.Sprintf("median of %d", n), e.Confidence, confidence,
			fmt.Sprintf("use %d replicates or more", MedianSamples(confidence))))
		return e, nil
	}
	sum := benchmath.AssumeNothing.Summary(benchmath.NewSample(s, &benchmath.DefaultThresholds), confidence)
	e.Lo, e.Hi, e.Confidence = sum.Lo, sum.Hi, sum.Confidence
	return e, nil
}

// MedianSamples is how many values an interval of the median needs at the
// confidence: 6 for 0.95, 8 for 0.99. The signed-rank interval needs as many.
func MedianSamples(confidence float64) int {
	n := 2
	for 1-math.Pow(2, float64(1-n)) < confidence && n < 1000 {
		n++
	}
	return n
}
