package analysis

import (
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Scaling is how a metric grows with the number of CPUs or NICs.
type Scaling struct {
	Of           string            `json:"of"` // "cpus" or "nics"
	Rest         map[string]string `json:"rest,omitempty"`
	MessageBytes int64             `json:"message_bytes,omitempty"`
	Points       []*ScalePoint     `json:"points"` // by growing N
	// Fits of the Universal Scalability Law, where there are three sizes or more:
	// over CPUs to throughput scaled to CPU, over NICs to throughput.
	Fits map[Metric]*stats.USL `json:"universal_scalability_law,omitempty"`
}

// ScalePoint is one size.
type ScalePoint struct {
	N    int    `json:"n"`
	Cell *Cell  `json:"-"`
	Key  string `json:"cell"`
	// Factor is metric(N) / metric(1), as in the paper's Figures 1 and 2; ideal is
	// N. Missing at N=1, where nothing was measured at 1, and where the figures don't
	// compare (warning cpus-not-in-use).
	Factor map[Metric]*stats.Comparison `json:"factor,omitempty"`
	// Efficiency is metric(N) / (N * metric(1)), the paper's '58 %'; ideal is 1.
	Efficiency map[Metric]*stats.Comparison `json:"efficiency,omitempty"`
	Ideal      float64                      `json:"ideal_factor"`
}

func (a *analyzer) scaling(e *Experiment, factor string) []*Scaling {
	var out []*Scaling
	for _, g := range group(e, factor) {
		s := &Scaling{Of: factor, Rest: g.rest, MessageBytes: g.cells[0].MessageBytes, Fits: map[Metric]*stats.USL{}}
		for _, c := range g.cells {
			n, err := strconv.Atoi(c.Levels[factor])
			if err != nil || n < 1 || c.OK == 0 {
				continue
			}
			s.Points = append(s.Points, &ScalePoint{N: n, Cell: c, Key: c.Key, Ideal: float64(n)})
		}
		if len(s.Points) == 0 {
			continue
		}
		slices.SortFunc(s.Points, func(x, y *ScalePoint) int { return x.N - y.N })
		if one := s.Points[0]; one.N == 1 {
			for _, p := range s.Points[1:] {
				a.relate(one, p)
			}
		}
		fits := []Metric{Server, Machine}
		if factor == "nics" {
			fits = []Metric{Throughput}
		}
		for _, m := range fits {
			var pts []stats.Point
			for _, p := range s.Points {
				if d := p.Cell.Metrics[m]; d != nil && comparesOverCPUs(p.Cell, m) {
					pts = append(pts, stats.Point{N: float64(p.N), Xs: d.Values})
				}
			}
			if u, err := stats.FitUSL(pts, a.Confidence, a.Seed); err == nil {
				s.Fits[m] = &u
			}
		}
		out = append(out, s)
	}
	return out
}

func (a *analyzer) relate(one, p *ScalePoint) {
	p.Factor, p.Efficiency = map[Metric]*stats.Comparison{}, map[Metric]*stats.Comparison{}
	for m, g := range a.gains(one.Cell, p.Cell) {
		if !comparesOverCPUs(one.Cell, m) || !comparesOverCPUs(p.Cell, m) {
			continue
		}
		f := g.Unpaired
		f.Estimate = f.Map(func(v float64) float64 { return 1 + v })
		p.Factor[m] = &f
		eff := f
		eff.Estimate = f.Map(func(v float64) float64 { return v / p.Ideal })
		p.Efficiency[m] = &eff
	}
}

// comparesOverCPUs reports whether a cell's figure compares with those of other numbers of
// CPUs. One that is scaled to CPU does not where CPU time is a share of other CPUs
// than those in use: where they could not be taken offline, what a load confined to
// one of two CPUs carries, over a share of both, says nothing of one CPU.
func comparesOverCPUs(c *Cell, m Metric) bool {
	return m == Throughput || !slices.ContainsFunc(c.trials, otherCPUs)
}

// otherCPUs reports whether CPU time is a share of other CPUs than those in use.
func otherCPUs(t *trial.Trial) bool {
	n, err := strconv.Atoi(t.Levels["cpus"])
	return err == nil && n > 0 && t.CPU.Online > 0 && n != t.CPU.Online
}
