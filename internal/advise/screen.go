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
	// Error is that of its trials, where all failed. There is no effect then.
	Error string `json:"error,omitempty"`
	// few says that so many of the trials with it, or without it, failed that it tells nothing.
	few bool
}

// Rules of the decisions.
const (
	// worthwhile is the least gain that is advised.
	worthwhile = 0.05
	// wide is a gain that can't be overlooked: where it is not ruled out, nothing was learnt.
	wide = 0.25
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
	throughput, noise := contrasts(runs, throughput)
	scaled, scaledNoise := contrasts(runs, scaled)
	var out []Screened
	for j, r := range remedies {
		s := Screened{Name: r.Name, Throughput: math.Expm1(throughput[j]), Scaled: math.Expm1(scaled[j]), Noise: noise, ScaledNoise: scaledNoise, Linked: linked(r)}
		var succeeded [2]int
		why := ""
		for _, run := range runs {
			k := map[bool]int{true: 1}[run.with[j]]
			if run.t.Status != trial.Failed {
				succeeded[k]++
			} else if k == 1 {
				why = run.t.Error
			}
		}
		if succeeded[1] == 0 {
			s.Error = why
		}
		s.few = min(succeeded[0], succeeded[1]) < len(runs)/4
		s.Survives = !s.few && s.standsOut(survive)
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Screened) int { return cmp.Compare(b.score(), a.score()) })
	return out
}

// contrasts are the effects of all columns of a design on a metric, as logarithms, with their noise, as a
// share. A column of which one side has no trial has no effect, and tells nothing of the noise.
func contrasts(runs []screened, metric func(*trial.Trial) float64) (effect []float64, noise float64) {
	var known []float64
	for j := range runs[0].with {
		var sum, n [2]float64
		for _, r := range runs {
			if v := metric(&r.t); v > 0 {
				k := map[bool]int{true: 1}[r.with[j]]
				sum[k] += math.Log(v)
				n[k]++
			}
		}
		if n[0] == 0 || n[1] == 0 {
			effect = append(effect, 0)
			continue
		}
		effect = append(effect, sum[1]/n[1]-sum[0]/n[0])
		known = append(known, effect[j])
	}
	return effect, math.Expm1(pseudoError(known))
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

// undecided reports whether it seems to gain what is worth having, yet may be noise, or whether the noise would hide
// a gain that is [wide].
func (s Screened) undecided() bool {
	return !s.few && !s.Survives && (s.standsOut(0) || s.Throughput+survive*s.Noise >= wide ||
		s.Throughput >= -worthwhile/2 && s.Scaled+survive*s.ScaledNoise >= wide)
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

// folded turns every level of a design into the other one. Together with the design it tells what each
// remedy does from what any two do together, with less noise.
func folded(rows [][]bool) [][]bool {
	for _, row := range rows {
		for j := range row {
			row[j] = !row[j]
		}
	}
	return rows
}

// mostScreened is how many remedies the largest design takes.
const mostScreened = 23
