package cpucheck

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stackmeter/stackmeter/internal/trial"
)

type trialCPU = trial.CPUTime

// Kind is how the load relates to the timer tick.
type Kind string

// The kinds of load.
const (
	Tick Kind = "tick" // in step with the tick
	Free Kind = "free" // free-running
)

// Case is one load and what each source made of it. Shares are of one CPU, 0..1.
type Case struct {
	Kind         Kind    `json:"kind"`
	Load         float64 `json:"load"`          // what the burner aimed at
	PhaseSeconds float64 `json:"phase_seconds"` // of a burst's begin after the tick
	TruthLow     float64 `json:"truth_low"`     // of the loop's own account and the thread's CPU clock
	TruthHigh    float64 `json:"truth_high"`
	Preempted    float64 `json:"preempted"` // by how much the thread's clock is below the loop's account
	// Others is what else ran on the CPU, interrupts over idle too. Only BPF can
	// tell; absent, the sources' errors contain it.
	Others       *float64 `json:"others,omitempty"`
	Steal        float64  `json:"steal"`
	ClosureError *float64 `json:"bpf_closure_error,omitempty"`
	Figures      []Figure `json:"figures"`
	// Disturbed says why the case cannot be judged; empty when it can.
	Disturbed string `json:"disturbed,omitempty"`
}

// Figure is one source's answer.
type Figure struct {
	Source      string  `json:"source"`
	Utilization float64 `json:"utilization_not_idle_task"` // of the CPU, 0..1
	// ErrorPoints is how far Utilization less Others is from the truth's interval.
	ErrorPoints float64 `json:"error_percentage_points"`
}

// Summary is one source over all cases that can be judged.
type Summary struct {
	Source      string  `json:"source"`
	WorstPoints float64 `json:"worst_error_percentage_points"` // largest by magnitude, with its sign
	MeanPoints  float64 `json:"mean_absolute_error_percentage_points"`
	Cases       int     `json:"cases"`
}

// Report is the outcome of a Run.
type Report struct {
	CPU           int       `json:"cpu"`
	TickSeconds   float64   `json:"tick_seconds"`
	WindowSeconds float64   `json:"window_seconds"`
	Cases         []Case    `json:"cases"`
	Sources       []Summary `json:"sources"`
	Unavailable   []string  `json:"unavailable,omitempty"` // sources that could not be used, why, and the mend
	Disturbed     int       `json:"disturbed_cases"`
}

func (c *Case) String() string {
	if c.Kind == Free {
		return fmt.Sprintf("%.0f %% free-running", 100*c.Load)
	}
	return fmt.Sprintf("%.0f %% at %.1f ms after the tick", 100*c.Load, 1000*c.PhaseSeconds)
}

func (c *Case) judge() {
	var why []string
	if c.Others != nil && 100**c.Others > othersLimit {
		why = append(why, fmt.Sprintf("others used %.1f %% of the CPU", 100**c.Others))
	}
	if 100*c.Preempted > preemptLimit {
		why = append(why, fmt.Sprintf("the load was preempted for %.1f %%", 100*c.Preempted))
	}
	if 100*c.Steal > stealLimit {
		why = append(why, fmt.Sprintf("the hypervisor took %.1f %%", 100*c.Steal))
	}
	c.Disturbed = strings.Join(why, "; ")
}

func (r *Report) summarise() {
	for _, c := range r.Cases {
		if c.Disturbed != "" {
			r.Disturbed++
			continue
		}
		for _, f := range c.Figures {
			i := slices.IndexFunc(r.Sources, func(s Summary) bool { return s.Source == f.Source })
			if i < 0 {
				i = len(r.Sources)
				r.Sources = append(r.Sources, Summary{Source: f.Source})
			}
			s := &r.Sources[i]
			if math.Abs(f.ErrorPoints) > math.Abs(s.WorstPoints) {
				s.WorstPoints = f.ErrorPoints
			}
			s.MeanPoints += math.Abs(f.ErrorPoints)
			s.Cases++
		}
	}
	for i := range r.Sources {
		r.Sources[i].MeanPoints /= float64(r.Sources[i].Cases)
	}
}

// WriteText writes the report as tables.
func (r Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "A known load on CPU %d, %.2g s a case, timer tick %.3g ms.\n", r.CPU, r.WindowSeconds, 1000*r.TickSeconds)
	fmt.Fprintln(w, "Each source: its figure, and its error in percentage points of the CPU.")
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var sources []string
	if len(r.Cases) > 0 {
		for _, f := range r.Cases[0].Figures {
			sources = append(sources, f.Source)
		}
	}
	fmt.Fprint(t, "load\ttruth\tothers\t")
	for _, s := range sources {
		fmt.Fprintf(t, "%s\terror\t", s)
	}
	fmt.Fprintln(t)
	for _, c := range r.Cases {
		others := "?"
		if c.Others != nil {
			others = fmt.Sprintf("%.1f", 100**c.Others)
		}
		mark := ""
		if c.Disturbed != "" {
			mark = " *"
		}
		fmt.Fprintf(t, "%s%s\t%.1f-%.1f\t%s\t", c.String(), mark, 100*c.TruthLow, 100*c.TruthHigh, others)
		for _, f := range c.Figures {
			fmt.Fprintf(t, "%.1f\t%+.1f\t", 100*f.Utilization, f.ErrorPoints)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, s := range r.Sources {
		fmt.Fprintf(w, "%-15s worst error %+.1f points, mean %.1f (%d cases)\n", s.Source, s.WorstPoints, s.MeanPoints, s.Cases)
	}
	for _, c := range r.Cases {
		if c.Disturbed != "" {
			fmt.Fprintf(w, "* %s: not judged: %s\n", c.String(), c.Disturbed)
		}
	}
	if 2*r.Disturbed > len(r.Cases) {
		fmt.Fprintln(w, "The machine was too busy to judge the sources: try again when it is quiet.")
	}
	for _, u := range r.Unavailable {
		fmt.Fprintln(w, "not available:", u)
	}
	_, err := fmt.Fprintln(w)
	return err
}
