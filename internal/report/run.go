package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/internal/unit"
	"github.com/stackmeter/stackmeter/meter"
)

// Run writes what a run of the load generator measured, as text.
func Run(w io.Writer, r *meter.Result, o TextOptions) error {
	if o.Width <= 0 || o.Width > maxWidth {
		o.Width = maxWidth
	}
	p := &printer{w: w, color: o.Color, width: max(o.Width, 60)}
	p.runHead(r)
	p.runFigures(r)
	p.runLatency(r)
	p.runCost(r)
	p.runSockets(r)
	p.runStacks(r)
	p.runTiming(r)
	p.runDrops(r)
	if len(r.Warnings) > 0 {
		p.runSection("Warnings", fmt.Sprint(len(r.Warnings)))
		for _, w := range r.Warnings {
			p.wrap("  "+w.Code+": "+w.Text, 4, yellow)
		}
	}
	return p.err
}

func (p *printer) runHead(r *meter.Result) {
	c := &r.Config
	title := "stackmeter run: " + c.Workload
	if c.Name != "" {
		title += " (" + c.Name + ")"
	}
	p.line(title, bold)
	if !r.Complete {
		p.wrap("INCOMPLETE: "+r.Error, 2, red)
	}
	p.wrap("  "+runLoad(r), 4, plain)
	for i, m := range r.Machines {
		at := fmt.Sprintf("  machine %d: %s", i+1, shortList(m.Hosts, 6))
		if m.Kernel != "" {
			at += "; Linux " + m.Kernel
		}
		if m.Model != "" {
			at += ", " + m.Model
		}
		if m.CPU.Online > 0 {
			at += fmt.Sprintf(", %s", count(m.CPU.Online, "CPU"))
		}
		p.wrap(at, 4, dim)
	}
	for i, h := range r.Hosts {
		if i == 8 {
			p.line(fmt.Sprintf("  ... and %d hosts more", len(r.Hosts)-i), dim)
			break
		}
		text := "  " + h.Name
		if h.Agent != "" {
			text += " at " + h.Agent
		}
		if len(h.NICs) > 0 {
			text += ", " + strings.Join(h.NICs, " ")
		}
		text += fmt.Sprintf(": %s, model %s", count(h.Flows, "flow"), h.Model)
		if h.Error != "" {
			p.wrap(text+"; LOST: "+h.Error, 4, red)
			continue
		}
		p.wrap(text, 4, dim)
	}
}

// runLoad is what was asked for, in a line.
func runLoad(r *meter.Result) string {
	c := &r.Config
	parts := []string{count(max(c.Flows, 1), "flow") + " a pair"}
	if c.Answers() {
		parts = append(parts, fmt.Sprintf("request %s, response %s", unit.Size(int64(c.MessageBytes)), unit.Size(int64(c.Response))))
		if c.Burst > 1 {
			parts = append(parts, fmt.Sprintf("%d under way at a time", c.Burst))
		}
	} else {
		parts = append(parts, "messages of "+unit.Size(int64(c.MessageBytes)))
	}
	if c.SegmentBytes > 0 {
		parts = append(parts, "segments of "+unit.Size(int64(c.SegmentBytes)))
	}
	if c.Rate > 0 {
		parts = append(parts, "begun at "+unit.Rate(c.Rate)+" a flow")
	}
	for _, s := range []struct{ name, value string }{{"send by", c.SendMethod}, {"receive by", c.ReceiveMethod}, {"congestion control", c.Congestion}} {
		if s.value != "" {
			parts = append(parts, s.name+" "+s.value)
		}
	}
	if c.NoDelay {
		parts = append(parts, "NODELAY")
	}
	if c.Engine != "kernel" {
		parts = append(parts, "engine "+c.Engine)
	}
	return strings.Join(parts, ", ") + "; rig " + r.Rig
}

// runSection begins a section; a title that does not fit beside the name goes below it, whole.
func (p *printer) runSection(name, title string) {
	if utf8.RuneCountInString(name+title)+2 <= p.width {
		p.section(name, title)
		return
	}
	p.section(name, "")
	p.wrap("  "+title, 2, plain)
}

// runWindow is the window that figures are over.
func runWindow(r *meter.Result) string {
	if len(r.Windows) == 1 {
		return fmt.Sprintf("over one window of %s", unit.Seconds(r.Seconds))
	}
	return fmt.Sprintf("over %d windows, %s in all", len(r.Windows), unit.Seconds(r.Seconds))
}

func (p *printer) runFigures(r *meter.Result) {
	p.runSection("Carried", runWindow(r)+", from "+r.Started.Format("2006-01-02 15:04:05"))
	row := func(name, value, more string) {
		p.print(fmt.Sprintf("  %-13s %s%s\n", name, p.paint(value, bold), more))
	}
	if r.Config.Answers() {
		row("Transactions", unit.Rate(r.TransactionsPerSecond), "")
		p.line(fmt.Sprintf("  %-13s requests %s, answers %s", "Payload", unit.BitRate(r.BitsPerSecond), unit.BitRate(r.ReverseBitsPerSecond)), dim)
	} else {
		more := ""
		if r.ReverseBitsPerSecond > 0 {
			more = " to the receivers, " + unit.BitRate(r.ReverseBitsPerSecond) + " back"
		}
		row("Throughput", unit.BitRate(r.BitsPerSecond), more)
		if r.SentBitsPerSecond > 0 && (r.Config.Transport() == "udp" || !r.Complete) {
			p.line(fmt.Sprintf("  %-13s %s by the senders", "Sent", unit.BitRate(r.SentBitsPerSecond)), dim)
		}
		p.line(fmt.Sprintf("  %-13s %s by the receivers", "Receive calls", unit.Rate(r.MessagesPerSecond)), dim)
	}
	if e := r.Estimate; e != nil {
		form := unit.BitRate
		if r.Config.Answers() {
			form = unit.Rate
		}
		p.wrap(fmt.Sprintf("  Windows: median %s, [%s, %s] at %.1f %% confidence (±%.1f %%)", form(e.Value), form(e.Lo), form(e.Hi), 100*e.Confidence, 100*e.RelativeHalfWidth()), 4, plain)
	}
	if r.DatagramsPerSecond > 0 || r.Lost > 0 {
		p.line(fmt.Sprintf("  %-13s %s; lost %d (%s), reordered %d, jitter %s", "Datagrams", unit.Rate(r.DatagramsPerSecond), r.Lost,
			unit.Percent(r.LostShare), r.Reordered, unit.Seconds(float64(r.JitterNanoseconds)/1e9)), plain)
	}
	if f := r.Fairness; f != nil {
		p.line(fmt.Sprintf("  %-13s least %.0f %%, median %.0f %%, most %.0f %% of the flows' mean; Jain's index %.3f", "Fairness", 100*f.Min, 100*f.Median, 100*f.Max, f.Jain), dim)
	}
	if len(r.Windows) == 1 && len(r.Windows[0].Intervals) > 1 {
		lo, hi := r.Windows[0].Intervals[0], r.Windows[0].Intervals[0]
		of := func(i meter.Interval) float64 { return i.BitsPerSecond + i.ReverseBitsPerSecond }
		form := unit.BitRate
		if r.Config.Answers() {
			of, form = func(i meter.Interval) float64 { return i.TransactionsPerSecond }, unit.Rate
		}
		for _, i := range r.Windows[0].Intervals {
			if of(i) < of(lo) {
				lo = i
			}
			if of(i) > of(hi) {
				hi = i
			}
		}
		p.line(fmt.Sprintf("  %-13s %s to %s, of %s each", "Intervals", form(of(lo)), form(of(hi)), unit.Seconds(r.Config.Interval.Seconds())), dim)
	}
}

func (p *printer) runLatency(r *meter.Result) {
	l := r.Latency
	if l == nil {
		return
	}
	what := "of transactions"
	if !r.Config.Answers() {
		what = "of messages until they were handed over"
	}
	if r.Config.Rate > 0 {
		what += ", from the intended time"
	}
	p.runSection("Latency", fmt.Sprintf("%s; %d of them, %s", what, l.Count, runWindow(r)))
	ns := func(n int64) string { return unit.Seconds(float64(n) / 1e9) }
	t := &table{}
	t.head("min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max")
	highest := ns(l.Max)
	if l.Saturated > 0 {
		highest = "≥ " + highest
	}
	t.row(textCell{ns(l.Min), plain}, textCell{unit.Seconds(l.Mean / 1e9), plain}, textCell{ns(l.P50), bold}, textCell{ns(l.P90), plain}, textCell{ns(l.P99), bold},
		textCell{ns(l.P999), plain}, textCell{ns(l.P9999), plain}, textCell{highest, plain})
	p.table(t)
}

func (p *printer) runCost(r *meter.Result) {
	if r.CPUSeconds <= 0 {
		return
	}
	p.runSection("Cost", "CPU time that was not halted, "+runWindow(r))
	cpus := r.CPUSeconds / r.Seconds
	text := fmt.Sprintf("  %.2f CPUs on all machines", cpus)
	if r.Config.Answers() {
		text += fmt.Sprintf("; %s a CPU, %s of CPU time a transaction", unit.Rate(r.TransactionsPerCPU), unit.Seconds(1/max(r.TransactionsPerCPU, 1e-12)))
	} else {
		text += fmt.Sprintf("; %s a CPU, %.3g us a KiB", unit.BitRate(r.ScaledToCPU), r.ServiceDemand/1e3)
	}
	p.wrap(text, 4, plain)
	for i, m := range r.Machines {
		if m.CPU.Online == 0 {
			continue
		}
		exact := "exact"
		if !m.CPU.Exact {
			exact = "not exact"
		}
		p.wrap(fmt.Sprintf("  machine %d: %s of %s, by %s (%s)%s", i+1, unit.Percent(m.CPU.Utilization), count(m.CPU.Online, "CPU"), m.CPU.Source, exact, groupsText(m.CPU.Groups)), 4, plain)
	}
}

// groupsText is whose CPU time it was, the largest first.
func groupsText(groups map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		if groups[a] != groups[b] {
			return int((groups[b] - groups[a]) * 1e9)
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, n := range names {
		if groups[n] >= 0.0005 {
			parts = append(parts, fmt.Sprintf("%s %.3g s", n, groups[n]))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func (p *printer) runTiming(r *meter.Result) {
	p.runSection("Clocks and edges", runWindow(r))
	skew, unsure := time.Duration(0), time.Duration(0)
	for _, w := range r.Windows {
		skew, unsure = max(skew, time.Duration(w.SkewNanoseconds)), max(unsure, time.Duration(w.UncertaintyNanoseconds))
	}
	if unsure > 0 { // of a window that was cut off the edges are not known
		p.wrap(fmt.Sprintf("  The hosts' edges of the window were at most %v apart, by clocks compared to within ±%v; only what all hosts shared counts.", round(skew), round(unsure)), 4, plain)
	}
	var start, drift time.Duration
	for _, h := range r.Hosts {
		start, drift = max(start, time.Duration(h.StartSkew)), max(drift, time.Duration(h.ClockDrift), -time.Duration(h.ClockDrift))
	}
	p.wrap(fmt.Sprintf("  The last flow took its first turn %v after the common start; clocks drifted by at most %v in the run.", round(start), round(drift)), 4, plain)
}

func round(d time.Duration) string { return unit.Seconds(d.Seconds()) }

// shortList names the first few.
func shortList(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// count is a number of things in words.
func count(n int, what string) string { return plural(strconv.Itoa(n), what) }
