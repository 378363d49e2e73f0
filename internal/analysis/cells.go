package analysis

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Analyze analyses trials. It neither keeps nor alters them beyond the call.
func Analyze(trials []trial.Trial, opts Options) *Report {
	if opts.Confidence == 0 {
		opts.Confidence = stats.DefaultConfidence
	}
	a := &analyzer{Options: opts, report: &Report{Confidence: opts.Confidence, Primary: Server}}
	var names []string
	byName := map[string][]*trial.Trial{}
	servers, counting := 0, 0
	for i := range trials {
		t := &trials[i]
		if byName[t.Experiment] == nil {
			names = append(names, t.Experiment)
		}
		byName[t.Experiment] = append(byName[t.Experiment], t)
		if t.Status == trial.OK {
			counting++
			if _, ok := Server.Of(t); ok {
				servers++
			}
		}
	}
	if 2*servers < counting {
		a.report.Primary = Machine
	}
	for _, n := range names {
		a.experiment(n, byName[n])
	}
	a.warnTrials(trials)
	return a.report
}

type analyzer struct {
	Options
	report *Report
}

func (a *analyzer) experiment(name string, trials []*trial.Trial) {
	plan := a.Plan.experiment(name)
	e := &Experiment{Name: name, Title: plan.Title, Factors: factors(trials), Primary: a.report.Primary}
	a.report.Experiments = append(a.report.Experiments, e)
	byKey := map[string]*Cell{}
	for _, t := range trials {
		key := trial.Cell(t.Levels)
		c := byKey[key]
		if c == nil {
			c = &Cell{Key: key, Levels: t.Levels, MessageBytes: a.Plan.messageBytes(t.Levels)}
			byKey[key] = c
			e.Cells = append(e.Cells, c)
		}
		switch t.Status {
		case trial.OK:
			c.trials = append(c.trials, t)
		case trial.Contaminated:
			c.Contaminated++
		case trial.Failed:
			c.Failed++
		}
	}
	for _, c := range e.Cells {
		a.fill(c)
	}
	slices.SortFunc(e.Cells, func(x, y *Cell) int { return compareLevels(e.Factors, x.Levels, y.Levels) })
	varies := func(f string) bool {
		return slices.ContainsFunc(e.Factors, func(x Factor) bool { return x.Name == f && len(x.Levels) > 1 })
	}
	if varies("nics") || varies(factorBus) {
		e.Primary = Throughput
	}
	a.warnCells(e, plan.Effects)

	baseline := plan.baseline(e.Factors)
	switch {
	case plan.Effects:
		e.Effects = a.effects(e, plan)
	case varies("affinity"):
		e.Affinity = a.affinity(e, baseline)
	case varies(factorBus):
		e.Placement = a.placement(e)
	case len(baseline) > 0:
		e.Contrasts = a.contrasts(e, baseline)
	}
	if varies(irqCPU) && varies(processCPU) {
		e.Pairs = a.pairs(e)
	}
	if varies("cpus") {
		e.CPUs = a.scaling(e, "cpus")
	}
	if varies("nics") {
		e.NICs = a.scaling(e, "nics")
	}
}

// fill computes a cell's figures from its trials that count: the last one of
// each replicate.
func (a *analyzer) fill(c *Cell) {
	byReplicate := map[int]*trial.Trial{}
	for _, t := range c.trials {
		byReplicate[t.Replicate] = t
	}
	c.trials = c.trials[:0]
	for _, r := range slices.Sorted(maps.Keys(byReplicate)) {
		c.trials = append(c.trials, byReplicate[r])
	}
	c.OK = len(c.trials)
	c.Metrics = map[Metric]*Measured{}
	for _, m := range Metrics {
		d := &Measured{}
		for _, t := range c.trials {
			if v, ok := m.Of(t); ok {
				d.Values, d.Replicates = append(d.Values, v), append(d.Replicates, t.Replicate)
			}
		}
		med, err := stats.Median(d.Values, a.Confidence)
		if err != nil {
			continue
		}
		d.Median, d.CV = med, stats.CoefficientOfVariation(d.Values)
		if modes, ok := stats.FindModes(d.Values); ok {
			d.Modes = &modes
		}
		c.Metrics[m] = d
	}
	c.Utilization = medianOf(c.trials, func(t *trial.Trial) float64 { return t.CPU.Utilization })
	c.ServerUtilization = medianOf(c.trials, func(t *trial.Trial) float64 { return t.CPU.ServerUtilization })
	c.ServiceDemand = medianOf(c.trials, func(t *trial.Trial) float64 { return t.ServiceDemand })
	c.ServerServiceDemand = medianOf(c.trials, func(t *trial.Trial) float64 { return t.ServerServiceDemand })
	c.Groups = groups(c.trials)
}

func medianOf(ts []*trial.Trial, f func(*trial.Trial) float64) float64 {
	xs := make([]float64, len(ts))
	for i, t := range ts {
		xs[i] = f(t)
	}
	e, _ := stats.Median(xs, stats.DefaultConfidence)
	return e.Value
}

// groups averages (so that the shares sum to 1) over the trials that have
// groups.
func groups(ts []*trial.Trial) map[string]float64 {
	sum := map[string]float64{}
	n := 0.0
	for _, t := range ts {
		wall := float64(t.CPU.Online) * t.CPU.WindowSeconds
		if len(t.CPU.Groups) == 0 || wall <= 0 {
			continue
		}
		n++
		rest := 1.0
		for g, s := range t.CPU.Groups {
			sum[g] += s / wall
			rest -= s / wall
		}
		sum["idle"] += max(0, rest)
	}
	if n == 0 {
		return nil
	}
	for g := range sum {
		sum[g] /= n
	}
	return sum
}

func factors(trials []*trial.Trial) []Factor {
	levels := map[string]map[string]bool{}
	for _, t := range trials {
		for f, l := range t.Levels {
			if levels[f] == nil {
				levels[f] = map[string]bool{}
			}
			levels[f][l] = true
		}
	}
	var fs []Factor
	for _, name := range slices.SortedFunc(maps.Keys(levels), func(a, b string) int {
		return cmp.Or(cmp.Compare(rankOf(factorOrder, a), rankOf(factorOrder, b)), cmp.Compare(a, b))
	}) {
		fs = append(fs, Factor{name, slices.SortedFunc(maps.Keys(levels[name]), compareLevel)})
	}
	return fs
}

// factorOrder and levelOrder put names into the order of the paper's tables;
// what they don't list comes after, in alphabetical order.
var (
	factorOrder = []string{"message_size", "mtu", "gro", "nics", "cpus", "affinity", "unpinned"}
	levelOrder  = []string{"none", "irq", "process", "both", "opposite", "scatter", "as-found", "off", "on"}
)

func rankOf(order []string, s string) int {
	if i := slices.Index(order, s); i >= 0 {
		return i
	}
	return len(order)
}

// compareLevel orders numbers by value, known words by levelOrder.
func compareLevel(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Or(cmp.Compare(rankOf(levelOrder, a), rankOf(levelOrder, b)), cmp.Compare(a, b))
}

func compareLevels(fs []Factor, a, b map[string]string) int {
	for _, f := range fs {
		if c := compareLevel(a[f.Name], b[f.Name]); c != 0 {
			return c
		}
	}
	return 0
}
