// Package analysis turns the trials of a study into figures: a median with its
// interval for every cell, gains over a baseline, the interaction of two
// affinities, scaling over CPUs and NICs, and every reason to doubt them. It
// reads records only; it measures nothing and prints nothing.
//
// Only trials with status ok count. Throughput scaled to CPU is analysed twice:
// with the CPU time attributed to the server (metric "server") and with that of
// the whole machine ("machine"). Where an interval includes zero, or the
// replicates are too few to tell, the verdict says so in words and claims
// nothing.
//
// A Report can be written as JSON; estimates are in the unit of their metric
// (bits per second, or a share: 0.745 is 74.5 %).
package analysis

import (
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Metric names a figure of a trial.
type Metric string

// The metrics.
const (
	Server     Metric = "server"     // throughput scaled to the server's CPU time, bits per second
	Machine    Metric = "machine"    // throughput scaled to the whole machine's CPU time, bits per second
	Throughput Metric = "throughput" // bits per second, not scaled
)

// Metrics lists them in the order of reports.
var Metrics = []Metric{Server, Machine, Throughput}

// Of is the metric's value in a trial; false if it was not measured.
func (m Metric) Of(t *trial.Trial) (float64, bool) {
	v := 0.0
	switch m {
	case Server:
		v = t.ServerScaledToCPU
	case Machine:
		v = t.ScaledToCPU
	case Throughput:
		v = t.ThroughputBitsPerSecond
	}
	return v, v > 0
}

// Options steer an analysis. The zero value asks for 95 % confidence.
type Options struct {
	Confidence float64 // of every interval; 0: 0.95
	Seed       uint64  // of the bootstrap in fits
	Plan       Plan    // titles, defaults, baselines; the zero Plan will do
}

// Report is the analysis of a study.
type Report struct {
	Confidence  float64       `json:"confidence"`
	Primary     Metric        `json:"primary_metric"` // "server" unless it was not measured
	Experiments []*Experiment `json:"experiments"`
	Warnings    []Warning     `json:"warnings,omitempty"`
}

// Warning is a reason to doubt a figure, and where.
type Warning struct {
	trial.Warning
	Experiment string `json:"experiment,omitempty"`
	Cell       string `json:"cell,omitempty"`  // key of the cell
	Count      int    `json:"count,omitempty"` // how many trials said so; 0: not about single trials
}

// Experiment is one design of the study.
type Experiment struct {
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`
	Factors []Factor `json:"factors"`
	Cells   []*Cell  `json:"cells"`
	// Primary is the metric that the experiment is about: throughput where NICs
	// vary, else the report's.
	Primary Metric `json:"primary_metric"`

	// Affinity has a row for each combination of the factors other than affinity
	// and unpinned (Table 1, Figure 3).
	Affinity []*AffinityRow `json:"affinity,omitempty"`
	// CPUs and NICs scale over the factor of that name (Figures 1 and 2; 7).
	CPUs []*Scaling `json:"cpu_scaling,omitempty"`
	NICs []*Scaling `json:"nic_scaling,omitempty"`
	// Pairs are the pairs of CPUs of a NIC's receive work and process (Figure 8).
	Pairs []*Pairs `json:"cpu_pairs,omitempty"`
	// Placement is NICs on a bus each and on one (Tables 11 to 13).
	Placement []*Placement `json:"placement,omitempty"`
	// Effects are of designs of two levels whose plan asks for them.
	Effects *Effects `json:"effects,omitempty"`
	// Contrasts compare with the plan's baseline in experiments that are none of
	// the above, as MTU.
	Contrasts []*Contrast `json:"contrasts,omitempty"`
}

// Factor is a factor with its levels, in their natural order.
type Factor struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
}

// Cell is one combination of levels with what its trials gave.
type Cell struct {
	Key    string            `json:"key"` // trial.Cell of the levels
	Levels map[string]string `json:"levels"`
	// MessageBytes is 0 if neither the levels nor the plan say it.
	MessageBytes int64 `json:"message_bytes,omitempty"`

	OK           int `json:"ok_trials"`
	Contaminated int `json:"contaminated_trials"`
	Failed       int `json:"failed_trials"`

	// Metrics that were measured in at least one trial.
	Metrics map[Metric]*Measured `json:"metrics"`

	Utilization       float64 `json:"utilization"`                  // median share of all online CPUs not halted
	ServerUtilization float64 `json:"server_utilization,omitempty"` // median
	// ServiceDemand and ServerServiceDemand are medians, nanoseconds per KiB.
	ServiceDemand       float64 `json:"service_demand_nanoseconds_per_kibibyte,omitempty"`
	ServerServiceDemand float64 `json:"server_service_demand_nanoseconds_per_kibibyte,omitempty"`
	// Groups is the mean share of all online CPUs' time by who used it, with
	// "idle" for what is left; empty if not attributed.
	Groups map[string]float64 `json:"group_shares,omitempty"`

	trials []*trial.Trial // that count, by replicate
}

// Measured is one metric over a cell's replicates.
type Measured struct {
	Median stats.Estimate `json:"median"`
	// Values in the order of Replicates.
	Values     []float64    `json:"values"`
	Replicates []int        `json:"replicates"`
	CV         float64      `json:"coefficient_of_variation"`
	Modes      *stats.Modes `json:"modes,omitempty"` // set if the values fall into two groups
}

// Gain is a change against a baseline, as a share.
type Gain struct {
	Unpaired stats.Comparison `json:"unpaired"` // Hodges-Lehmann of the logarithms, Mann-Whitney interval and p
	// Paired is within blocks (signed rank); nil without a common block.
	Paired  *stats.Comparison `json:"paired,omitempty"`
	Verdict Verdict           `json:"verdict"`
}

// Verdict says in a word what an interval allows to say.
type Verdict string

// The verdicts.
const (
	More         Verdict = "more"
	Less         Verdict = "less"
	NoDifference Verdict = "no difference seen"
	TooFew       Verdict = "too few replicates to tell"
)

func judge(e stats.Estimate, confidence float64) Verdict {
	switch {
	case e.Confidence < confidence:
		return TooFew
	case e.Lo > 0:
		return More
	case e.Hi < 0:
		return Less
	default:
		return NoDifference
	}
}
