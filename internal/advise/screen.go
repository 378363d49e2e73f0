package advise

import (
	"cmp"
	"math"
	"slices"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Screened is a remedy's effect in the screening: by what share throughput is more with it than
// without, over the trials of the design, in which half of the other remedies are there.
type Screened struct {
	Name       string  `json:"name"`
	Throughput float64 `json:"throughput_effect"`
	Scaled     float64 `json:"throughput_scaled_to_cpu_effect"`
	// Noise of such an effect in throughput and in throughput scaled to CPU (Lenth's pseudo standard
	// error).
	Noise       float64 `json:"noise"`
	ScaledNoise float64 `json:"scaled_noise"`
	Survives    bool    `json:"survives"`
	Linked      bool    `json:"linked_to_a_cause"`
}

// Rules of the decisions.
const (
	// worthwhile is the least gain that is advised.
	worthwhile = 0.05
	// survive is how many pseudo standard errors an effect must have to be looked at again.
	survive = 2.0
	// maxSurvivors is how many remedies the full factorial has at most.
	maxSurvivors = 3
)

// screened is one trial of the design: which remedies were there, and what came of it.
type screened struct {
	with []bool
	t    trial.Trial
}

// effects of the remedies in a screening design, most gain first. linked says which of them
// mend a cause that was named.
func effects(remedies []Remedy, runs []screened, linked func(Remedy) bool) []Screened {
	if len(runs) == 0 {
		return nil
	}
	columns := len(runs[0].with)
	of := func(metric func(*trial.Trial) float64) []float64 {
		out := make([]float64, columns)
		for j := range out {
			var sum [2]float64
			var n [2]float64
			for _, r := range runs {
				v := metric(&r.t)
				if v <= 0 {
					continue
				}
				k := 0
				if r.with[j] {
					k = 1
				}
				sum[k] += math.Log(v)
				n[k]++
			}
			if n[0] > 0 && n[1] > 0 {
				out[j] = sum[1]/n[1] - sum[0]/n[0]
			}
		}
		return out
	}
	throughput := of(func(t *trial.Trial) float64 { return t.ThroughputBitsPerSecond })
	scaled := of(func(t *trial.Trial) float64 { return t.ScaledToCPU })
	noise, scaledNoise := math.Expm1(pseudoError(throughput)), math.Expm1(pseudoError(scaled))
	var out []Screened
	for j, r := range remedies {
		s := Screened{Name: r.Name, Throughput: math.Expm1(throughput[j]), Scaled: math.Expm1(scaled[j]), Noise: noise, ScaledNoise: scaledNoise, Linked: linked(r)}
		s.Survives = s.standsOut(survive)
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Screened) int { return cmp.Compare(b.score(), a.score()) })
	return out
}

// score is what a remedy seems to gain: in throughput, or in CPU time at no less throughput.
func (s Screened) score() float64 {
	if s.Throughput < -worthwhile/2 {
		return s.Throughput
	}
	return max(s.Throughput, s.Scaled)
}

// standsOut reports whether it seems to gain, in throughput, or in CPU time at no less throughput, by what
// is worth having and by so many times the noise of that.
func (s Screened) standsOut(noises float64) bool {
	return s.Throughput >= max(worthwhile, noises*s.Noise) ||
		s.Throughput >= -worthwhile/2 && s.Scaled >= max(worthwhile, noises*s.ScaledNoise)
}

// pseudoError is Lenth's pseudo standard error (Technometrics 31, 1989): the noise of an
// effect, told from all effects together under the belief that most are none.
func pseudoError(effects []float64) float64 {
	var abs []float64
	for _, x := range effects {
		abs = append(abs, math.Abs(x))
	}
	first := 1.5 * medianOf(abs)
	abs = slices.DeleteFunc(abs, func(x float64) bool { return x >= 2.5*first && first > 0 })
	return 1.5 * medianOf(abs)
}

// plackettBurman are the first rows of the designs of 12, 20 and 24 runs (Plackett & Burman,
// Biometrika 33, 1946): each further row is the one before turned by a column, the last
// has all factors at their first level.
var plackettBurman = []string{
	"++-+++---+-",
	"++--++++-+-+----++-",
	"+++++-+-++--++--+-+----",
}

// design gives which of n factors have their second level in each run, with as many columns as the
// design has: those beyond n belong to no factor and show the noise.
func design(n int) [][]bool {
	for _, first := range plackettBurman {
		k := len(first)
		if n > k {
			continue
		}
		rows := make([][]bool, k+1)
		for i := range rows {
			rows[i] = make([]bool, k)
			for j := range rows[i] {
				rows[i][j] = i < k && first[(j+k-i)%k] == '+'
			}
		}
		return rows
	}
	return nil
}

// mostScreened is how many remedies the largest design takes.
const mostScreened = 23
