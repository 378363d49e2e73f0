package analysis

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// WideInterval is the half-width of a median's interval, as a share of the
// median, above which a cell is reported as uncertain.
const WideInterval = 0.05

func (a *analyzer) warn(e *Experiment, c *Cell, count int, code, format string, args ...any) {
	w := Warning{Warning: trial.Warning{Code: code, Text: fmt.Sprintf(format, args...)}, Count: count}
	if e != nil {
		w.Experiment = e.Name
	}
	if c != nil {
		w.Cell = c.Key
	}
	a.report.Warnings = append(a.report.Warnings, w)
}

// warnCells leaves the intervals of single cells alone where effects are asked for, which
// have their own.
func (a *analyzer) warnCells(e *Experiment, effects bool) {
	need := stats.MedianSamples(a.Confidence)
	most := 0
	for _, c := range e.Cells {
		most = max(most, c.OK)
	}
	for _, c := range e.Cells {
		if c.OK == 0 {
			a.warn(e, c, 0, "no-trial", "no trial counts (%d contaminated, %d failed): run the study again when the machine is quiet, or see the errors of the trials",
				c.Contaminated, c.Failed)
			continue
		}
		if c.OK < most {
			a.warn(e, c, 0, "missing-replicates", "%d replicates, other cells have %d: resume the study to complete it", c.OK, most)
		}
		d := c.Metrics[e.Primary]
		if d == nil {
			a.warn(e, c, 0, "not-scaled", "CPU time was not measured in any trial: no throughput scaled to CPU")
			continue
		}
		if d.Modes != nil {
			a.warn(e, c, 0, "bimodal", "two modes: %d trials near %s, %d near %s; the median describes neither, look at the single trials",
				d.Modes.LowCount, unit.BitRate(d.Modes.Low), d.Modes.HighCount, unit.BitRate(d.Modes.High))
		}
		if w := d.Median.RelativeHalfWidth(); !effects && d.Modes == nil && c.OK >= need && w > WideInterval {
			a.warn(e, c, 0, "wide-interval", "the median's interval is ±%s: more replicates or a quieter machine would narrow it", unit.Percent(w))
		}
	}
	if most > 0 && most < need {
		a.warn(e, nil, 0, "too-few-replicates", "at most %d replicates in a cell: an interval of the median with %.0f %% confidence needs %d", most, 100*a.Confidence, need)
	}
	if bad := sum(e, func(c *Cell) int { return c.Contaminated }); bad > 0 {
		a.warn(e, nil, bad, "contaminated", "%d trials were disturbed by other processes; they were repeated and don't count", bad)
	}
	if bad := sum(e, func(c *Cell) int { return disturbed(c.trials) }); bad > 0 {
		all := sum(e, func(c *Cell) int { return c.OK })
		a.warn(e, nil, bad, "disturbed-trials-count", "%d of the %d trials that count were disturbed by other processes too: the last attempt at a trial counts however it went; measure again on a quieter machine", bad, all)
	}
	if bad := sum(e, func(c *Cell) int { return c.Failed }); bad > 0 {
		a.warn(e, nil, bad, "failed", "%d trials failed and don't count", bad)
	}
}

// disturbed counts the trials that strangers or the hypervisor disturbed.
func disturbed(ts []*trial.Trial) (n int) {
	for _, t := range ts {
		if slices.ContainsFunc(t.Warnings, func(w trial.Warning) bool { return w.Code == "contaminated" }) {
			n++
		}
	}
	return n
}

func sum(e *Experiment, f func(*Cell) int) int {
	n := 0
	for _, c := range e.Cells {
		n += f(c)
	}
	return n
}

// closureLimit is the closure error of the CPU probe that is worth a word.
const closureLimit = 0.01

// warnTrials gathers what the trials themselves warn of, one entry per code
// with the number of trials and the first text, and doubts about the CPU
// source.
func (a *analyzer) warnTrials(trials []trial.Trial) {
	seen := map[string]*Warning{}
	var codes []string
	note := func(w trial.Warning) {
		if seen[w.Code] == nil {
			seen[w.Code] = &Warning{Warning: w}
			codes = append(codes, w.Code)
		}
		seen[w.Code].Count++
	}
	sources := map[string]int{}
	for i := range trials {
		t := &trials[i]
		if t.Status == trial.Failed {
			if t.Error != "" {
				note(trial.Warning{Code: "trial-error", Text: t.ID + ": " + t.Error})
			}
			continue
		}
		inTrial := map[string]bool{}
		for _, w := range t.Warnings {
			if !inTrial[w.Code] {
				inTrial[w.Code] = true
				note(trial.Warning{Code: w.Code, Text: t.ID + ": " + w.Text})
			}
		}
		if t.Status != trial.OK {
			continue
		}
		sources[t.CPU.Source]++
		if otherCPUs(t) {
			note(trial.Warning{
				Code: "cpus-not-in-use",
				Text: fmt.Sprintf("%s: %s of the CPUs are to be in use but CPU time is a share of %d: figures scaled to CPU don't compare with those of other counts, and no scaling factor is given", t.ID, t.Levels["cpus"], t.CPU.Online),
			})
		}
		if !t.CPU.Exact {
			note(trial.Warning{
				Code: "inexact-cpu",
				Text: fmt.Sprintf("CPU time is from %q, which is not exact: check its error with `stackmeter cpucheck`", t.CPU.Source),
			})
		}
		if t.CPU.ClosureError > closureLimit {
			note(trial.Warning{
				Code: "closure",
				Text: fmt.Sprintf("%s: the classes of CPU time sum to %s off the wall clock", t.ID, unit.Percent(t.CPU.ClosureError)),
			})
		}
	}
	if len(sources) > 1 {
		a.warn(nil, nil, 0, "mixed-cpu-sources", "CPU time is from different sources in different trials: figures scaled to CPU may not compare")
	}
	slices.SortStableFunc(codes, func(x, y string) int { return cmp.Compare(seen[y].Count, seen[x].Count) })
	for _, c := range codes {
		a.report.Warnings = append(a.report.Warnings, *seen[c])
	}
}
