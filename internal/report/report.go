// Package report tells what a study found: as tables for a terminal, laid out
// like the paper's, and as one HTML file with its figures. Both are derived from
// a result directory alone and can be made again at any time.
//
// A figure never stands without its interval, a gain never without its
// verdict, and every warning of the study is shown. The paper's own numbers
// stand beside where it states them; they are from 2002's machines and are there
// for the shape, not for a race.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/stacklab"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Analyze analyses a result with what its manifest says of the plan.
func Analyze(d *result.Dir) *analysis.Report {
	return analysis.Analyze(d.Trials, analysis.Options{
		Seed: d.Manifest.Seed, Plan: analysis.ReadPlan(d.Manifest.Plan.Resolved),
	})
}

// JSON writes manifest, hosts, analysis, and what stack.json holds, as one indented object.
func JSON(w io.Writer, d *result.Dir) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	var inside *stacklab.Report
	if r, err := ReadStack(d.Path); err == nil {
		inside = &r
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return enc.Encode(struct {
		Manifest result.Manifest  `json:"manifest"`
		Hosts    result.Hosts     `json:"hosts,omitempty"`
		Analysis *analysis.Report `json:"analysis"`
		Inside   *stacklab.Report `json:"inside_stack,omitempty"`
		Notes    []trial.Warning  `json:"notes,omitempty"`
	}{d.Manifest, d.Hosts, Analyze(d), inside, d.Notes})
}

// progress counts the trials of a result.
type progress struct {
	OK, Contaminated, Failed, Planned int
}

func countTrials(d *result.Dir) progress {
	p := progress{Planned: d.Manifest.PlannedTrials}
	for i := range d.Trials {
		switch d.Trials[i].Status {
		case trial.OK:
			p.OK++
		case trial.Contaminated:
			p.Contaminated++
		case trial.Failed:
			p.Failed++
		}
	}
	return p
}

func (p progress) String() string {
	s := fmt.Sprintf("%d trials", p.OK)
	if p.Planned > 0 {
		s = fmt.Sprintf("%d of %d trials", p.OK, p.Planned)
	}
	if p.Contaminated > 0 {
		s += fmt.Sprintf(", %d disturbed", p.Contaminated)
	}
	if p.Failed > 0 {
		s += fmt.Sprintf(", %d failed", p.Failed)
	}
	return s
}

// allWarnings are those of the manifest, of reading and of the analysis.
func allWarnings(d *result.Dir, r *analysis.Report) []analysis.Warning {
	var out []analysis.Warning
	for _, w := range slices.Concat(d.Notes, d.Manifest.Warnings) {
		out = append(out, analysis.Warning{Warning: w})
	}
	if p := countTrials(d); p.Planned > 0 && len(d.Trials) > 0 && p.OK < p.Planned {
		out = append(out, analysis.Warning{Warning: trial.Warning{
			Code: "incomplete",
			Text: fmt.Sprintf("%d of %d planned trials count: `stackmeter study --resume %s` runs the rest", p.OK, p.Planned, d.Path),
		}})
	}
	return append(out, r.Warnings...)
}

// metricName is how a metric is called in a sentence.
func metricName(m analysis.Metric) string {
	switch m {
	case analysis.Server:
		return "throughput scaled to CPU, server's CPU time"
	case analysis.Machine:
		return "throughput scaled to CPU, whole machine"
	default:
		return "throughput"
	}
}

// scaledMetrics are the metrics scaled to CPU that were measured, primary
// first.
func scaledMetrics(r *analysis.Report) []analysis.Metric {
	if r.Primary == analysis.Server {
		return []analysis.Metric{analysis.Server, analysis.Machine}
	}
	return []analysis.Metric{analysis.Machine}
}

// affinityName is a case as the paper's tables call it.
func affinityName(affinity, unpinned string) string {
	if affinity == "none" {
		if unpinned == "as-found" {
			return "as found"
		}
		return "none"
	}
	return strings.ToUpper(affinity)
}

// levelName is a level as a person writes it.
func levelName(factor, level string) string {
	switch factor {
	case "message_size":
		if n, err := unit.ParseSize(level); err == nil {
			return unit.Size(n)
		}
	case "mtu":
		return "MTU " + level
	case "nics":
		return plural(level, "NIC")
	case "cpus":
		return plural(level, "CPU")
	case "affinity":
		if level != "none" {
			return strings.ToUpper(level)
		}
		return "no affinity"
	case "unpinned":
		return strings.ReplaceAll(level, "-", " ")
	case "irq_cpu":
		return "IRQ CPU " + level
	case "process_cpu":
		return "process CPU " + level
	case "gro", "tso":
		return strings.ToUpper(factor) + " " + level
	}
	return factorName(factor) + " " + level
}

func plural(n, noun string) string {
	if n == "1" {
		return n + " " + noun
	}
	return n + " " + noun + "s"
}

// cellName names a cell by the factors that vary in its experiment.
func cellName(e *analysis.Experiment, levels map[string]string) string {
	if e.Effects != nil {
		return effectsCell(e.Effects, levels)
	}
	var parts []string
	for _, f := range e.Factors {
		l, ok := levels[f.Name]
		if !ok || len(f.Levels) < 2 {
			continue
		}
		a, both := levels["affinity"]
		switch {
		case f.Name == "affinity":
			parts = append(parts, affinityName(l, levels["unpinned"]))
		case f.Name == "unpinned" && both && (l == "scatter" || a == "none"):
		default:
			parts = append(parts, levelName(f.Name, l))
		}
	}
	if len(parts) == 0 {
		return e.Name
	}
	return strings.Join(parts, catBreak)
}

// restName names the fixed factors of a group; "" if none varies.
func restName(e *analysis.Experiment, rest map[string]string) string {
	var parts []string
	for _, f := range e.Factors {
		if l, ok := rest[f.Name]; ok && len(f.Levels) > 1 {
			parts = append(parts, levelName(f.Name, l))
		}
	}
	return strings.Join(parts, catBreak)
}

// constants are the factors that have one level in an experiment.
func constants(e *analysis.Experiment) string {
	var parts []string
	for _, f := range e.Factors {
		if len(f.Levels) != 1 {
			continue
		}
		name := levelName(f.Name, f.Levels[0])
		if f.Name == "unpinned" {
			name = "what is not pinned " + map[string]string{"scatter": "scattered", "as-found": "left as found"}[f.Levels[0]]
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

// knob is a setting in force, over all trials of the study.
type knob struct {
	Name, Mechanism string
	Targets, Values []string
	Trials          int
}

// knobs gathers the settings in force by name and mechanism.
func knobs(d *result.Dir) []knob {
	var out []knob
	for i := range d.Trials {
		counted := map[int]bool{}
		for _, k := range d.Trials[i].Knobs {
			at := slices.IndexFunc(out, func(o knob) bool { return o.Name == k.Name && o.Mechanism == k.Mechanism })
			if at < 0 {
				at = len(out)
				out = append(out, knob{Name: k.Name, Mechanism: k.Mechanism})
			}
			if !slices.Contains(out[at].Targets, k.Target) {
				out[at].Targets = append(out[at].Targets, k.Target)
			}
			if !slices.Contains(out[at].Values, k.Value) {
				out[at].Values = append(out[at].Values, k.Value)
			}
			if !counted[at] {
				counted[at] = true
				out[at].Trials++
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].Targets)
		slices.Sort(out[i].Values)
	}
	slices.SortFunc(out, func(a, b knob) int { return strings.Compare(a.Name+a.Mechanism, b.Name+b.Mechanism) })
	return out
}
