// Package advise finds what holds a machine's network stack back and tries what mends
// it: it measures as found, names causes with the figures behind them, screens remedies in
// few trials, and measures those that seem to gain again, against as found, in every
// combination.
//
// Stance: causes rest on counters, settings and shares of time, which noise moves little;
// gains rest on replicated, interleaved trials, and are claimed only where their interval
// excludes none and they are worth having ([Rules]). What was not tried is said, with the
// reason. Nothing is changed for longer than a trial: the agents put everything back.
//
// Caveats. A cause is what the figures agree with; that it holds the machine back is shown by
// what its remedy gains, if it has one. Screening mixes what two remedies do together into
// what each does; only the trials after it tell them apart. A gain is that of this load (TCP
// streams), at this time.
package advise

import (
	"strings"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// SchemaVersion is the version of [Report]'s JSON form. It grows when a field changes its
// meaning or goes.
const SchemaVersion = 1

// Report is what came of an advice. It is plain data.
type Report struct {
	Schema  int       `json:"schema"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // that it took
	Budget  float64   `json:"budget_seconds"`
	Rig     string    `json:"rig"`
	Labels  []string  `json:"labels,omitempty"` // what to know of all figures before they are read
	NICs    []string  `json:"nics"`
	Trials  int       `json:"trials"` // that were run
	// Base is the configuration as found: the levels that no remedy changes.
	Base    experiment.Levels `json:"base"`
	AsFound Evidence          `json:"as_found"`
	// Causes are what holds the machine back, the one to mend first first.
	Causes []Cause `json:"causes"`
	// Looked is what was looked for and not found.
	Looked   []Check     `json:"looked_for"`
	Screened []Screened  `json:"screened,omitempty"` // every remedy of the screening
	Verdicts []Verdict   `json:"verdicts"`           // of every remedy that was tried, those that gain first
	Advice   []Advice    `json:"advice"`             // what to apply, in this order
	Together *Gains      `json:"together,omitempty"` // all of the advice against as found
	Untested []Untested  `json:"not_tested"`
	Proof    *Proof      `json:"proof,omitempty"` // of a rig that was spoilt on purpose
	Notes    []string    `json:"notes,omitempty"`
	Rules    []RuleWords `json:"rules"` // by which causes are named
}

// raiseBudget ends the reason why a remedy was not tried for which the budget had no trials.
const raiseBudget = "raise --budget"

// OutOfBudget counts the remedies for which the budget had no trial.
func (r *Report) OutOfBudget() (n int) {
	for _, u := range r.Untested {
		if strings.HasSuffix(u.Why, raiseBudget) {
			n++
		}
	}
	return n
}

// NotKnown are the remedies that were tried of which it is not known whether they gain.
func (r *Report) NotKnown() (names []string) {
	for _, v := range r.Verdicts {
		if v.Word == NotKnown {
			names = append(names, v.Name)
		}
	}
	return names
}

// NothingToGain reports whether nothing was found that is worth changing, everything was tried for
// which there should have been trials, and what was tried is known.
func (r *Report) NothingToGain() bool {
	if len(r.Advice) > 0 || r.OutOfBudget() > 0 || len(r.NotKnown()) > 0 {
		return false
	}
	for _, c := range r.Causes {
		if c.Mend != "" {
			return false
		}
	}
	return true
}

// Gains are by what share a change gains over another configuration, with intervals.
type Gains struct {
	Throughput stats.Comparison `json:"throughput"`
	// Scaled is throughput scaled to the CPU time of the whole machine; nil where that
	// was not measured.
	Scaled *stats.Comparison `json:"throughput_scaled_to_cpu,omitempty"`
}

// Verdict is what a remedy came to.
type Verdict struct {
	Remedy
	Word  Word   `json:"verdict"`
	Alone *Gains `json:"alone,omitempty"` // against as found, nothing else changed; nil: it was screened only
	Text  string `json:"text"`
}

// Word is a verdict in a word.
type Word string

// The verdicts.
const (
	Gained  Word = "gains"
	Nothing Word = "shows no gain"
	Costs   Word = "costs"
	Failed  Word = "can't be had"
	// NotKnown is what seems to gain and may be noise, or has too few trials.
	NotKnown Word = "not known"
)

// Advice is a remedy that gained.
type Advice struct {
	Remedy
	// Gains are over what stands before it in the list, the first's over as found.
	Gains   Gains    `json:"gains"`
	Latency *Latency `json:"latency,omitempty"`
}

// Untested is a remedy that was not tried.
type Untested struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Proof is what a rig that was spoilt on purpose loses, and how much of it the first advice brings back.
type Proof struct {
	Kind      string `json:"kind"`
	Planted   string `json:"planted"` // in words
	Cause     string `json:"cause"`   // the name that is right
	NamedLead bool   `json:"named_first"`
	Removable bool   `json:"removable"`
	Remedy    string `json:"remedy,omitempty"` // the first advice; "": none was given
	// Medians of interleaved trials, bits per second.
	Unspoilt float64 `json:"unspoilt_bits_per_second"`
	Spoilt   float64 `json:"spoilt_bits_per_second"`
	Advised  float64 `json:"advised_bits_per_second,omitempty"`
	Loss     float64 `json:"loss"`                // share of Unspoilt
	Recovery float64 `json:"recovered,omitempty"` // share of the loss
}
