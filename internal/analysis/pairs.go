package analysis

import (
	"math"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/stats"
)

// Factors of [Pairs], as plans name them.
const (
	irqCPU     = "irq_cpu"
	processCPU = "process_cpu"
)

// Pairs is a metric over the pairs of CPUs on which the last NIC's receive work and its server
// process were: the paper's Figure 8.
type Pairs struct {
	Rest    map[string]string `json:"rest,omitempty"`
	IRQ     []int             `json:"irq_cpus"`     // rows
	Process []int             `json:"process_cpus"` // columns
	Cells   [][]*Cell         `json:"-"`            // by row and column; nil: not measured
	Keys    [][]string        `json:"cells"`        // of Cells; "": not measured
	// Best and Worst are the pairs with the highest and the lowest median. That one is highest
	// is no claim: Spread says whether they differ.
	Best  map[Metric]Pair `json:"best"`
	Worst map[Metric]Pair `json:"worst"`
	// Spread is the best against the worst pair. Both were picked for what they gave, which
	// widens the gap, so its interval claims nothing: the verdict and P are of all pairs
	// together (stats.Friedman over replicates).
	Spread map[Metric]*Judged `json:"best_against_worst,omitempty"`
	// Same is what having both on one CPU gains over having them on two, by replicates: the
	// geometric mean of the pairs of one kind against that of the other.
	Same map[Metric]*Judged `json:"same_cpu_against_two,omitempty"`
}

// Pair is one pair of CPUs.
type Pair struct {
	IRQ     int `json:"irq_cpu"`
	Process int `json:"process_cpu"`
}

// Judged is a comparison with its verdict.
type Judged struct {
	stats.Comparison
	Verdict Verdict `json:"verdict"`
}

// pairs groups the cells by the factors beside the two CPUs.
func (a *analyzer) pairs(e *Experiment) []*Pairs {
	var out []*Pairs
	for _, g := range group(e, irqCPU, processCPU) {
		p := &Pairs{
			Rest: g.rest, Best: map[Metric]Pair{}, Worst: map[Metric]Pair{},
			Spread: map[Metric]*Judged{}, Same: map[Metric]*Judged{},
		}
		at := map[Pair]*Cell{}
		for _, c := range g.cells {
			irq, errI := strconv.Atoi(c.Levels[irqCPU])
			process, errP := strconv.Atoi(c.Levels[processCPU])
			if errI != nil || errP != nil {
				continue // as found
			}
			at[Pair{irq, process}] = c
			p.IRQ, p.Process = append(p.IRQ, irq), append(p.Process, process)
		}
		p.IRQ, p.Process = ascending(p.IRQ), ascending(p.Process)
		if len(at) < 2 {
			continue
		}
		for i, irq := range p.IRQ {
			p.Cells, p.Keys = append(p.Cells, make([]*Cell, len(p.Process))), append(p.Keys, make([]string, len(p.Process)))
			for j, process := range p.Process {
				if c := at[Pair{irq, process}]; c != nil {
					p.Cells[i][j], p.Keys[i][j] = c, c.Key
				}
			}
		}
		for _, m := range Metrics {
			a.comparePairs(p, at, m)
		}
		out = append(out, p)
	}
	return out
}

func ascending(cpus []int) []int {
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

func (a *analyzer) comparePairs(p *Pairs, at map[Pair]*Cell, m Metric) {
	var measured []Pair
	for _, irq := range p.IRQ {
		for _, process := range p.Process {
			if c := at[Pair{irq, process}]; c != nil && c.Metrics[m] != nil {
				measured = append(measured, Pair{irq, process})
			}
		}
	}
	if len(measured) < 2 {
		return
	}
	median := func(x Pair) float64 { return at[x].Metrics[m].Median.Value }
	best, worst := measured[0], measured[0]
	logs := map[bool]map[int][]float64{true: {}, false: {}} // same CPU: by replicate
	for _, x := range measured {
		if median(x) > median(best) {
			best = x
		}
		if median(x) < median(worst) {
			worst = x
		}
		d := at[x].Metrics[m]
		for i, r := range d.Replicates {
			same := x.IRQ == x.Process
			logs[same][r] = append(logs[same][r], math.Log(d.Values[i]))
		}
	}
	p.Best[m], p.Worst[m] = best, worst
	if g := a.gains(at[worst], at[best])[m]; g != nil {
		x := &Judged{g.Unpaired, NoDifference}
		var enough bool
		if x.P, enough = stats.Friedman(byReplicate(measured, at, m), a.Confidence); !enough {
			x.Verdict = TooFew
		} else if x.P <= 1-a.Confidence {
			x.Verdict = More
		}
		p.Spread[m] = x
	}
	var ratios []float64
	for r, same := range logs[true] {
		if two := logs[false][r]; len(two) > 0 {
			ratios = append(ratios, math.Exp(mean(same)-mean(two)))
		}
	}
	slices.Sort(ratios) // the map's order must not show
	if c, err := stats.PairedGain(ratios, a.Confidence); err == nil {
		p.Same[m] = &Judged{c, judge(c.Estimate, a.Confidence)}
	}
}

// byReplicate are the values of the pairs by replicate, NaN where there is none.
func byReplicate(pairs []Pair, at map[Pair]*Cell, m Metric) (blocks [][]float64) {
	index := map[int]int{}
	for i, x := range pairs {
		d := at[x].Metrics[m]
		for k, r := range d.Replicates {
			b, ok := index[r]
			if !ok {
				b = len(blocks)
				index[r] = b
				blocks = append(blocks, slices.Repeat([]float64{math.NaN()}, len(pairs)))
			}
			blocks[b][i] = d.Values[k]
		}
	}
	return blocks
}

func mean(xs []float64) (m float64) {
	for _, x := range xs {
		m += x / float64(len(xs))
	}
	return m
}
