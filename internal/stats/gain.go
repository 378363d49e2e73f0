package stats

import (
	"fmt"
	"math"
)

// Gain is by what share ys lie above base (0.7453: 74.53 % more): Shift of the
// logarithms, so that it is a ratio of typical values and no single trial can
// carry it. All values must be positive.
func Gain(base, ys []float64, confidence float64) (Comparison, error) {
	lb, err := logs(base)
	if err != nil {
		return Comparison{}, fmt.Errorf("baseline: %w", err)
	}
	ly, err := logs(ys)
	if err != nil {
		return Comparison{}, err
	}
	c, err := Shift(lb, ly, confidence)
	c.Estimate = c.Map(math.Expm1)
	return c, err
}

// PairedGain is Gain within blocks: ratios[i] is the treated value over the
// baseline of the same block, which cancels what drifts slower than a block.
func PairedGain(ratios []float64, confidence float64) (Comparison, error) {
	l, err := logs(ratios)
	if err != nil {
		return Comparison{}, err
	}
	c, err := Center(l, confidence)
	c.Estimate = c.Map(math.Expm1)
	return c, err
}

func logs(xs []float64) ([]float64, error) {
	out := make([]float64, len(xs))
	for i, x := range xs {
		if !(x > 0) {
			return nil, fmt.Errorf("value %d of the sample is %v: a gain needs positive values", i, x)
		}
		out[i] = math.Log(x)
	}
	return out, nil
}
