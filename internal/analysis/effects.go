package analysis

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/stackmeter/stackmeter/internal/stats"
)

// Effects are what the factors of a design of two levels are worth, each over all levels
// of the others, and each two of them together.
//
// Effects multiply: they are fitted, in each block (replicate) by least squares, to the
// logarithm of the metric, with a term for each factor and for each two. Interactions of
// three factors and more are taken for nothing. The blocks' figures then make the
// estimate (signed rank), which so assumes no distribution of the noise.
type Effects struct {
	Factors []TwoLevels `json:"factors"` // those with two levels
	Half    bool        `json:"half_fraction,omitempty"`
	// Main are the effects of single factors: by what share the metric is more with the
	// second level than with the first, the geometric mean over all else.
	Main []*Effect `json:"main"`
	// Interactions are of two factors: by what share both together give more than what
	// they give apart multiplies to.
	Interactions []*Effect `json:"interactions"`
	// Together is the cell with the second level of all factors against that with the
	// first of all; nil if either was not measured.
	Together *CellAgainst `json:"together,omitempty"`
	// Without and With are the cells of Together.
	Without, With *Cell `json:"-"`
}

// TwoLevels is a factor that an effect is of.
type TwoLevels struct {
	Name    string `json:"name"`
	Without string `json:"without"` // the first level, or the baseline's
	With    string `json:"with"`
}

// Effect is what one factor, or two together, are worth.
type Effect struct {
	Factors []string `json:"factors"`
	// By metric; missing where no block has enough of its cells.
	By map[Metric]*Worth `json:"by"`
	// Given, of two factors: what each is worth at either level of the other.
	Given []*Given `json:"given,omitempty"`
}

// Given is what a factor is worth at both levels of another, over all levels of the rest.
type Given struct {
	Factor  string            `json:"factor"`
	Other   TwoLevels         `json:"other"`
	Without map[Metric]*Worth `json:"without"` // with the other's first level
	With    map[Metric]*Worth `json:"with"`
}

// Worth is a share with its interval and verdict.
type Worth struct {
	stats.Comparison
	Verdict Verdict `json:"verdict"`
}

// effects returns nil where there is nothing to tell apart.
func (a *analyzer) effects(e *Experiment, plan PlanExperiment) *Effects {
	out := &Effects{}
	for _, f := range plan.Factors {
		if len(f.Levels) != 2 {
			continue
		}
		t := TwoLevels{Name: f.Name, Without: f.Levels[0], With: f.Levels[1]}
		if plan.Baseline[f.Name] == t.With {
			t.Without, t.With = t.With, t.Without
		}
		out.Factors = append(out.Factors, t)
	}
	if len(out.Factors) == 0 {
		return nil
	}
	out.Half = plan.Half && len(e.Cells) < 1<<len(out.Factors)
	terms := out.terms()
	for _, t := range terms {
		effect := &Effect{By: map[Metric]*Worth{}}
		for _, f := range t {
			effect.Factors = append(effect.Factors, out.Factors[f].Name)
		}
		if len(t) == 1 {
			out.Main = append(out.Main, effect)
		} else {
			for k := range t {
				effect.Given = append(effect.Given, &Given{
					Factor: out.Factors[t[k]].Name, Other: out.Factors[t[1-k]], Without: map[Metric]*Worth{}, With: map[Metric]*Worth{},
				})
			}
			out.Interactions = append(out.Interactions, effect)
		}
	}
	for _, m := range Metrics {
		ratios := out.blocks(e, m, terms)
		for i, effect := range slices.Concat(out.Main, out.Interactions) {
			a.worth(effect.By, m, ratios[i])
			for k, g := range effect.Given {
				// The interaction is how much more the factor gives at the other's second level
				// than at its first; what it gives over both lies between.
				main := ratios[terms[i][k]]
				without, with := make([]float64, len(main)), make([]float64, len(main))
				for b := range main {
					half := math.Sqrt(ratios[i][b])
					without[b], with[b] = main[b]/half, main[b]*half
				}
				a.worth(g.Without, m, without)
				a.worth(g.With, m, with)
			}
		}
	}
	out.together(a, e)
	return out
}

// worth judges the ratios that the blocks give of a metric, if there are any.
func (a *analyzer) worth(by map[Metric]*Worth, m Metric, ratios []float64) {
	if c, err := stats.PairedGain(ratios, a.Confidence); err == nil {
		by[m] = &Worth{c, judge(c.Estimate, a.Confidence)}
	}
}

// terms are the indices of the factors that each effect is of.
func (x *Effects) terms() [][]int {
	var one, two [][]int
	for i := range x.Factors {
		one = append(one, []int{i})
		for j := range i {
			two = append(two, []int{j, i})
		}
	}
	slices.SortStableFunc(two, func(a, b []int) int { return a[0] - b[0] })
	return append(one, two...)
}

// sign is -1 for the first level of factor i in a cell, 1 for the second.
func (x *Effects) sign(c *Cell, i int) float64 {
	if c.Levels[x.Factors[i].Name] == x.Factors[i].With {
		return 1
	}
	return -1
}

// blocks are, for each term, the ratios that the blocks give. A block that lacks so many
// cells that not all terms can be told apart gives none.
func (x *Effects) blocks(e *Experiment, m Metric, terms [][]int) [][]float64 {
	out := make([][]float64, len(terms))
	var replicates []int
	for _, c := range e.Cells {
		if d := c.Metrics[m]; d != nil {
			replicates = append(replicates, d.Replicates...)
		}
	}
	slices.Sort(replicates)
	for _, rep := range slices.Compact(replicates) {
		var rows, logs []float64
		for _, c := range e.Cells {
			v, ok := at(c, m, rep)
			if !ok {
				continue
			}
			rows, logs = append(rows, 1), append(logs, math.Log(v))
			for _, t := range terms {
				product := 1.0
				for _, f := range t {
					product *= x.sign(c, f)
				}
				rows = append(rows, product)
			}
		}
		fit, ok := leastSquares(rows, logs, 1+len(terms))
		if !ok {
			continue
		}
		for i, t := range terms {
			// From one level to the other is 2; and an interaction is the change of one
			// factor's effect by the other's.
			steps := math.Pow(2, float64(len(t)))
			out[i] = append(out[i], math.Exp(steps*fit[1+i]))
		}
	}
	return out
}

// worstCondition is the condition number above which terms can't be told apart; designs
// without gaps have 1.
const worstCondition = 1e6

func leastSquares(rows, y []float64, columns int) ([]float64, bool) {
	if len(y) < columns {
		return nil, false
	}
	var qr mat.QR
	qr.Factorize(mat.NewDense(len(y), columns, rows))
	if cond := qr.Cond(); !(cond < worstCondition) {
		return nil, false
	}
	var fit mat.VecDense
	if err := qr.SolveVecTo(&fit, false, mat.NewVecDense(len(y), y)); err != nil {
		return nil, false
	}
	return fit.RawVector().Data, true
}

func (x *Effects) together(a *analyzer, e *Experiment) {
	without, with := map[string]string{}, map[string]string{}
	for _, f := range x.Factors {
		without[f.Name], with[f.Name] = f.Without, f.With
	}
	for _, c := range e.Cells {
		switch {
		case has(c, without):
			x.Without = c
		case has(c, with):
			x.With = c
		}
	}
	if x.Without != nil && x.With != nil {
		x.Together = &CellAgainst{x.With, x.With.Key, a.gains(x.Without, x.With)}
	}
}
