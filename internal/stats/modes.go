package stats

// Modes is what FindModes saw: two groups of values with little between them.
type Modes struct {
	Low       float64 `json:"low"`       // median of the lower group
	High      float64 `json:"high"`      // median of the higher group
	LowCount  int     `json:"low_count"` // how many values lie in it
	HighCount int     `json:"high_count"`
	// Explained is the share of the sample's variance that the split explains.
	Explained float64 `json:"explained"`
}

// modesMinGap is the smallest distance of two modes worth a word, as a share
// of the lower.
const modesMinGap = 0.05

// modesCritical[n] is the share of variance that the best split of n values
// drawn from the uniform distribution exceeds once in a hundred samples
// (TestModesCritical simulates it). The uniform is the hardest of the unimodal
// to tell from two modes: normal noise exceeds it once in 300 samples at n = 6,
// once in 5000 at n = 20. From
// n = 20 the last entry serves.
var modesCritical = []float64{
	6: 0.981, 7: 0.972, 8: 0.961, 9: 0.952, 10: 0.943, 11: 0.935, 12: 0.928, 13: 0.922,
	14: 0.916, 15: 0.911, 16: 0.906, 17: 0.901, 18: 0.897, 19: 0.894, 20: 0.890,
}

// FindModes looks for two modes and returns false if there is no good sign of
// them.
//
// The rule: of all splits of the sorted sample with at least two values (and a
// tenth of all) on each side, take the one that explains most of the variance.
// It shows two modes if that share is beyond what uniform noise of the same
// size reaches once in a hundred samples, and the medians of the two groups
// differ by more than 5 %. Fewer than six values never show modes, and a
// single outlier is none.
func FindModes(xs []float64) (Modes, bool) {
	s, err := sorted(xs)
	if err != nil || len(s) < 6 {
		return Modes{}, false
	}
	k, explained := bestSplit(s)
	if k == 0 || explained <= modesCritical[min(len(s), len(modesCritical)-1)] {
		return Modes{}, false
	}
	m := Modes{Low: middle(s[:k]), High: middle(s[k:]), LowCount: k, HighCount: len(s) - k, Explained: explained}
	return m, m.Low > 0 && m.High/m.Low-1 > modesMinGap
}

// bestSplit returns the size of the lower group and the share of variance that
// the split explains; 0 if the values are all equal.
func bestSplit(s []float64) (k int, explained float64) {
	n := len(s)
	// Relative to the middle, so that large figures lose no digits.
	c := middle(s)
	var sum, sq float64
	for _, x := range s {
		sum += x - c
		sq += (x - c) * (x - c)
	}
	total := sq - sum*sum/float64(n)
	if total <= 0 {
		return 0, 0
	}
	side := max(2, n/10)
	var low float64
	for i, x := range s[:n-side] {
		low += x - c
		if a := i + 1; a >= side {
			b := n - a
			high := sum - low
			between := low*low/float64(a) + high*high/float64(b) - sum*sum/float64(n)
			if e := between / total; e > explained {
				k, explained = a, e
			}
		}
	}
	return k, explained
}
