// Package stats holds the few exact, nonparametric statistics that the
// analysis of trials needs: a median with its interval, the shift between two
// samples, the centre of paired contrasts, a check for two modes, and a fit of
// the Universal Scalability Law.
//
// Throughput of a network stack is neither normal nor symmetric, and samples
// are small (three to twenty replicates), so nothing here assumes a
// distribution and intervals come from counting, not from asymptotics, up to
// the sizes that the functions name. A sample too small for the wanted
// confidence is not an error: the widest interval it can give is returned with
// the confidence that this one really has, and a warning. Callers must show
// both.
//
// No function alters its arguments. All results are finite, so that they can
// be written as JSON. Values must be finite; NaN and infinities are refused
// with an error.
package stats

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// DefaultConfidence is the confidence that reports ask for.
const DefaultConfidence = 0.95

// ErrNoData says that a statistic was asked of an empty sample.
var ErrNoData = errors.New("no values: at least one is needed")

// Estimate is a figure with its uncertainty, in the unit of the sample.
type Estimate struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	// Confidence is what [Lo, Hi] really has, 0..1: at least what was asked
	// when the sample suffices, less when it does not (then Warnings says so).
	Confidence float64  `json:"confidence"`
	N          int      `json:"n"`
	Warnings   []string `json:"warnings,omitempty"`
}

// RelativeHalfWidth is half the width of the interval as a share of the value
// (0.05: ±5 %), 0 if the value is 0.
func (e Estimate) RelativeHalfWidth() float64 {
	if e.Value == 0 {
		return 0
	}
	return (e.Hi - e.Lo) / 2 / math.Abs(e.Value)
}

// Excludes says whether v lies outside the interval, and the interval has at
// least the wanted confidence. A sample too small to tell excludes nothing.
func (e Estimate) Excludes(v, confidence float64) bool {
	return e.Confidence >= confidence && (v < e.Lo || v > e.Hi)
}

// Map applies a growing function (exp, or a change of unit) to the value and
// to both ends.
func (e Estimate) Map(f func(float64) float64) Estimate {
	e.Value, e.Lo, e.Hi = f(e.Value), f(e.Lo), f(e.Hi)
	return e
}

// CoefficientOfVariation is the sample standard deviation over the mean, 0 for
// fewer than two values or a mean of 0. Use it to describe spread; it decides
// nothing here.
func CoefficientOfVariation(xs []float64) float64 {
	if len(xs) < 2 {
		return 0
	}
	var mean float64
	for _, x := range xs {
		mean += x
	}
	mean /= float64(len(xs))
	if mean == 0 {
		return 0
	}
	var ss float64
	for _, x := range xs {
		ss += (x - mean) * (x - mean)
	}
	return math.Sqrt(ss/float64(len(xs)-1)) / math.Abs(mean)
}

func sorted(xs []float64) ([]float64, error) {
	if len(xs) == 0 {
		return nil, ErrNoData
	}
	for i, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("value %d of the sample is %v: leave it out", i, x)
		}
	}
	s := slices.Clone(xs)
	slices.Sort(s)
	return s, nil
}

// middle is the median of a sorted sample.
func middle(s []float64) float64 {
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return s[n/2-1] + (s[n/2]-s[n/2-1])/2
}

func tooSmall(what string, have, wanted float64, mend string) string {
	return fmt.Sprintf("%s: the interval has %.1f %% confidence, not %.0f %%: %s", what, 100*have, 100*wanted, mend)
}
