package analysis

import (
	"slices"

	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// factorBus is the factor of [Placement], as plans name it.
const factorBus = "bus"

// Placement is what NICs carry by the buses that they share: the paper's Tables 11 to 13.
type Placement struct {
	Rest  map[string]string `json:"rest,omitempty"`
	Cases []*BusCase        `json:"cases"`
	// Gain is each other case's total throughput against the first one's, in their order.
	Gain []*Gain `json:"gain_against_first,omitempty"`
}

// BusCase is one way to place the NICs.
type BusCase struct {
	Bus   string          `json:"bus"` // level of the factor
	Cell  *Cell           `json:"-"`
	Key   string          `json:"cell"`
	Total *stats.Estimate `json:"total_bits_per_second,omitempty"` // nil: no trial that counts
	// NICs are what each NIC carried, in the rig's order.
	NICs []stats.Estimate `json:"nics_bits_per_second,omitempty"`
}

// placement groups the cells by the factors beside the bus.
func (a *analyzer) placement(e *Experiment) []*Placement {
	var out []*Placement
	for _, g := range group(e, factorBus) {
		p := &Placement{Rest: g.rest}
		// What shares nothing comes first.
		slices.SortStableFunc(g.cells, func(x, y *Cell) int {
			return rankOf(busOrder, x.Levels[factorBus]) - rankOf(busOrder, y.Levels[factorBus])
		})
		for _, c := range g.cells {
			b := &BusCase{Bus: c.Levels[factorBus], Cell: c, Key: c.Key}
			if d := c.Metrics[Throughput]; d != nil {
				total := d.Median
				b.Total, b.NICs = &total, a.byNIC(c.trials)
			}
			p.Cases = append(p.Cases, b)
		}
		for _, b := range p.Cases[1:] {
			p.Gain = append(p.Gain, a.gains(p.Cases[0].Cell, b.Cell)[Throughput])
		}
		out = append(out, p)
	}
	return out
}

var busOrder = []string{"separate", "as-found", "shared"}

// byNIC is the median of what each NIC's flows carried together.
func (a *analyzer) byNIC(ts []*trial.Trial) []stats.Estimate {
	var each [][]float64
	for _, t := range ts {
		sums := map[int]float64{}
		for _, f := range t.Flows {
			sums[f.NIC] += f.ThroughputBitsPerSecond
		}
		for nic, v := range sums {
			for len(each) <= nic {
				each = append(each, nil)
			}
			each[nic] = append(each[nic], v)
		}
	}
	out := make([]stats.Estimate, len(each))
	for nic, xs := range each {
		if m, err := stats.Median(xs, a.Confidence); err == nil {
			out[nic] = m
		}
	}
	return out
}

// PaperPlacement is what the paper's Tables 11 to 13 state, bits per second: by the number of NICs, for
// each on a bus of its own and for the first two on one.
var PaperPlacement = map[int]struct{ Separate, Shared []float64 }{
	2: {[]float64{385e6, 387e6}, []float64{355e6, 342e6}},
	3: {[]float64{266e6, 257e6, 259e6}, []float64{197e6, 197e6, 356e6}},
}
