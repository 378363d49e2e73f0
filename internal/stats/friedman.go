package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// blockShuffles is how many random orders a test draws: the p-value of 0.05 is then known to ±0.003.
const blockShuffles = 4999

// Friedman tests whether the treatments of a randomised block design all give the same. A block
// (a replicate) holds one value for each treatment, NaN where there is none. The statistic is Friedman's: how far
// the treatments' mean ranks within blocks lie from one another, squared (JASA 32 (1937) 675); p is the part of
// random orders within blocks that give as much, so that it holds for few blocks and with gaps, however many
// treatments there are to pick from. The draws are the same each time. ok is false where the blocks are too few
// for p to fall to 1 - confidence.
func Friedman(blocks [][]float64, confidence float64) (p float64, ok bool) {
	var ranks [][]float64
	treatments, rarest := 0, 1.0
	for _, b := range blocks {
		r := ranksWithin(b)
		if n := len(b) - countNaN(r); n > 1 {
			ranks = append(ranks, r)
			treatments = max(treatments, len(b))
			if len(ranks) > 1 { // the same order as in the first
				rarest /= math.Gamma(float64(n) + 1)
			}
		}
	}
	if len(ranks) == 0 || rarest > 1-confidence {
		return 1, false
	}
	sums, counts := make([]float64, treatments), make([]float64, treatments)
	spread := func() (s float64) {
		clear(sums)
		clear(counts)
		for _, r := range ranks {
			for i, v := range r {
				if !math.IsNaN(v) {
					sums[i] += v
					counts[i]++
				}
			}
		}
		for i, n := range counts {
			if n > 0 {
				s += sums[i] * sums[i] / n
			}
		}
		return s
	}
	observed := spread()
	rng := rand.New(rand.NewPCG(1937, 675))
	places := make([][]int, len(ranks))
	for i, r := range ranks {
		for j, v := range r {
			if !math.IsNaN(v) {
				places[i] = append(places[i], j)
			}
		}
	}
	reached := 1
	for range blockShuffles {
		for i, at := range places {
			r := ranks[i]
			rng.Shuffle(len(at), func(a, b int) { r[at[a]], r[at[b]] = r[at[b]], r[at[a]] })
		}
		if spread() >= observed-1e-9 {
			reached++
		}
	}
	return float64(reached) / (blockShuffles + 1), true
}

// ranksWithin are the ranks of the values, shared by equal ones, as parts of their number and about 0; NaN where
// there is no value.
func ranksWithin(values []float64) []float64 {
	out := make([]float64, len(values))
	var order []int
	for i, v := range values {
		out[i] = math.NaN()
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			out[at] = float64(i+j)/2/float64(len(order)) - 0.5
		}
		i = j
	}
	return out
}

func countNaN(values []float64) (n int) {
	for _, v := range values {
		if math.IsNaN(v) {
			n++
		}
	}
	return n
}
