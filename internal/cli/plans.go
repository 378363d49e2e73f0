package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/study"
	"github.com/stackmeter/stackmeter/internal/tui"
)

func (f *studyFlags) overrides() (study.Overrides, error) {
	o := study.Overrides{Levels: map[string][]string{}, Replicates: f.replicates, Window: f.window, Profile: f.profile}
	if f.replicates < 0 {
		return o, fmt.Errorf("--replicates %d: want 1 or more", f.replicates)
	}
	for factor, levels := range map[string][]string{"nics": f.nics, "cpus": f.cpus, "message_size": f.messageSizes} {
		if len(levels) > 0 {
			o.Levels[factor] = levels
		}
	}
	for _, s := range f.set {
		factor, levels, ok := strings.Cut(s, "=")
		if !ok {
			return o, fmt.Errorf("--set %q: want FACTOR=LEVEL[,LEVEL...]", s)
		}
		if _, err := experiment.FindFactor(factor); err != nil {
			return o, fmt.Errorf("--set: %w", err)
		}
		o.Levels[factor] = strings.Split(levels, ",")
	}
	return o, nil
}

func listPlans(w io.Writer, asJSON bool) error {
	type row struct {
		Name   string `json:"name"`
		Title  string `json:"title"`
		Trials int    `json:"trials"`
		Time   string `json:"expected_duration"`
	}
	cpus, err := usableCPUs()
	if err != nil {
		return err
	}
	var rows []row
	for _, name := range study.Names() {
		p, _, err := study.Load(name, study.Machine{CPUs: len(cpus)}, study.Overrides{})
		if err != nil {
			return err
		}
		n := len(experiment.Schedule(p, 1))
		rows = append(rows, row{name, p.Title, n, tui.Short(p.Estimate(n))})
	}
	if asJSON {
		return writeJSON(w, rows)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%-10s %5d trials  %-14s %s\n", r.Name, r.Trials, r.Time, r.Title)
	}
	return nil
}

// dryRun tells what a run would do and touches nothing.
func (s *studyRun) dryRun(w io.Writer) error {
	schedule := experiment.Schedule(s.plan, s.seed)
	if s.flags.json {
		return writeJSON(w, map[string]any{
			"plan": s.plan, "seed": s.seed, "trials": schedule, "knobs": s.knobs(), "notes": s.notes,
			"expected_duration_seconds": s.plan.Estimate(len(schedule)).Seconds(),
		})
	}
	fmt.Fprintf(w, "plan %s: %s\n", s.plan.Name, s.plan.Title)
	for _, n := range s.notes {
		fmt.Fprintln(w, "note:", n)
	}
	fmt.Fprintf(w, "\n%d trials, %d replicates, window %v after %v of ramp-up; about %s\n", len(schedule), s.plan.Replicates, s.plan.Timing.Window, s.plan.Timing.RampUp, tui.Short(s.plan.Estimate(len(schedule))))
	if s.plan.InsideStack {
		fmt.Fprintf(w, "then a look inside the stack (copies, calls, allocations), %s\n", insideTime)
	}
	fmt.Fprintf(w, "seed %d\n\nsettings that would be touched, and put back:\n", s.seed)
	for _, k := range s.knobs() {
		fmt.Fprintln(w, "  "+k)
	}
	fmt.Fprintf(w, "\nin this order:\n")
	for _, p := range schedule {
		fmt.Fprintf(w, "%5d  %s, replicate %d: %s\n", p.Order, s.plan.Experiments[p.Experiment].Name, p.Replicate, p.Cell.Key())
	}
	return nil
}

// knobs are the settings that the plan touches, in words.
func (s *studyRun) knobs() []string {
	own := "the rig's own NICs (in namespaces that end with the study)"
	if s.flags.hosts.real() {
		own = strings.Join(s.flags.hosts.nics, ", ")
	}
	seen := map[string]bool{"MTU, GRO, threaded NAPI of " + own: true}
	for i := range s.plan.Experiments {
		for _, cell := range s.plan.Experiments[i].Cells() {
			c, err := cell.Config(s.plan.Defaults)
			if err != nil {
				continue // Normalize has refused such a plan
			}
			if c.CPUs != 0 && c.CPUs < len(s.cpus) {
				seen["CPUs online (machine-wide; as root): "+fmt.Sprint(c.CPUs)+" of "+fmt.Sprint(len(s.cpus))] = true
			}
			if c.PinsIRQ() {
				seen["CPU of the receive work (IRQ affinity) of "+own] = true
			}
			if c.PinsProcess() || c.Unpinned == experiment.Scatter {
				seen["CPU affinity of the load's own processes"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
