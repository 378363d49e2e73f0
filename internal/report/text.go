package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/unit"
	"golang.org/x/sys/unix"
)

// maxWidth is the widest that a text report gets.
const maxWidth = 100

// TextOptions steer Text.
type TextOptions struct {
	Width int  // columns; 0 or more than 100: 100; at least 60
	Color bool // ANSI attributes
}

// TerminalOptions are right for a file: colour if it is a terminal that wants
// it (NO_COLOR is not set, TERM is not dumb), and its width.
func TerminalOptions(f *os.File) TextOptions {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return TextOptions{}
	}
	return TextOptions{
		Width: int(ws.Col),
		Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// Text writes the report as text.
func Text(w io.Writer, d *result.Dir, o TextOptions) error {
	if o.Width <= 0 || o.Width > maxWidth {
		o.Width = maxWidth
	}
	p := &printer{w: w, color: o.Color, width: max(o.Width, 60)}
	r := Analyze(d)
	title := cmp.Or(analysis.ReadPlan(d.Manifest.Plan.Resolved).Title, d.Manifest.Plan.Name)
	p.line("stackmeter: "+title, bold)
	p.line(fmt.Sprintf("Linux %s, rig %s, %s, CPU time from %s", d.Manifest.Versions.Kernel, d.Manifest.Rig, countTrials(d),
		cmp.Or(cpuSources(d), "nothing")), dim)
	for _, f := range findings(r) {
		p.wrap("  - "+f, 4, plain)
	}
	if len(r.Experiments) == 0 {
		p.print("\n")
		p.line("No trial is on record.", plain)
	}
	for _, e := range r.Experiments {
		p.experiment(r, e)
		p.interrupts(interruptRows(d, e))
	}
	p.environment(d)
	p.warnings(allWarnings(d, r))
	return p.err
}

func (p *printer) section(name, title string) {
	p.print("\n")
	p.print(p.paint(strings.ToUpper(name), bold) + "  " + cut(title, p.width-len(name)-2) + "\n")
}

func (p *printer) experiment(r *analysis.Report, e *analysis.Experiment) {
	p.section(e.Name, e.Title)
	if c := constants(e); c != "" {
		p.line("  all with "+c, dim)
	}
	if len(e.Affinity) > 0 {
		for i, m := range scaledMetrics(r) {
			p.affinity(e, m, i == 0)
		}
	}
	if len(e.CPUs) > 0 {
		p.scaling(e, e.CPUs, scaledMetrics(r))
	}
	if len(e.NICs) > 0 {
		p.scaling(e, e.NICs, []analysis.Metric{analysis.Throughput})
	}
	for _, x := range e.Placement {
		p.placement(e, x)
	}
	for _, x := range e.Pairs {
		p.pairs(r, e, x)
	}
	if e.Effects != nil {
		p.effects(r, e)
	}
	for _, c := range e.Contrasts {
		p.contrast(r, e, c)
	}
	p.cells(e)
}

// tableCases are the columns of Table 1.
var tableCases = []struct{ affinity, unpinned string }{
	{"irq", ""}, {"process", ""}, {"both", ""}, {"opposite", ""}, {"none", "as-found"},
}

func (p *printer) affinity(e *analysis.Experiment, m analysis.Metric, full bool) {
	p.print("\n")
	p.line("  Gain in "+metricName(m)+", over "+baselineName(e.Affinity), plain)
	marked := false
	t := &table{left: 1}
	t.head("Msgsize", "IRQ", "PROCESS", "BOTH", "OPPOSITE", "as found", "BOTH beyond")
	t.head("(bytes)", "(%)", "(%)", "(%)", "(%)", "(%)", "sum (points)")
	for _, row := range e.Affinity {
		value := []textCell{{text: rowName(e, row.Rest, row.MessageBytes)}}
		interval, pv, words := []textCell{{}}, []textCell{{}}, []textCell{{}}
		add := func(c *stats.Comparison, v analysis.Verdict, mark string) {
			val, rng, pp := textCell{"-", dim}, textCell{}, textCell{}
			if c != nil {
				val = textCell{points(c.Value) + mark, verdictStyle(v)}
				rng, pp = textCell{strings.ReplaceAll(pointRange(c.Estimate), ",", ""), dim}, textCell{pValue(c.P), dim}
			}
			value, interval, pv = append(value, val), append(interval, rng), append(pv, pp)
			words = append(words, textCell{shortVerdict(v), yellow})
		}
		for _, k := range tableCases {
			c := row.Case(k.affinity, k.unpinned)
			if c == nil || c.Gains[m] == nil {
				add(nil, "", "")
				continue
			}
			mark := modesMark(c.Cell, m)
			marked = marked || mark != ""
			add(&c.Gains[m].Unpaired, c.Gains[m].Verdict, mark)
		}
		if x := row.Interaction[m]; x != nil {
			add(&x.Comparison, x.Verdict, "")
		} else {
			add(nil, "", "")
		}
		t.row(value...)
		t.row(interval...)
		t.row(pv...)
		t.row(words...)
		if full && row.Paper != nil {
			pr := row.Paper
			c := func(v float64) textCell { return textCell{points(v), dim} }
			t.row(textCell{"  paper", dim}, c(pr.IRQ), c(pr.Process), c(pr.Both), textCell{}, textCell{}, c(pr.Interaction()))
		}
	}
	p.table(t)
	if marked {
		p.wrap("  "+daggerText, 4, yellow)
	}
	for _, row := range e.Affinity {
		p.wrap("  "+interactionVerdict(e, row, m), 4, plain)
	}
}

// baselineName says what the gains are over.
func baselineName(rows []*analysis.AffinityRow) string {
	for _, r := range rows {
		if r.Baseline != nil {
			if u := r.Baseline.Levels["unpinned"]; u != "" {
				return "no affinity (unpinned: " + u + ")"
			}
		}
	}
	return "no affinity"
}

const daggerText = "† the trials of this case fall into two groups: one number does not describe them, see the cells"

func modesMark(c *analysis.Cell, m analysis.Metric) string {
	if d := c.Metrics[m]; d != nil && d.Modes != nil {
		return "†"
	}
	return ""
}

// pointRange is an interval of a share in per cent or points, short.
func pointRange(e stats.Estimate) string {
	f := func(v float64) string {
		if math.Abs(v) >= 0.9995 {
			return fmt.Sprintf("%+.0f", 100*v)
		}
		return fmt.Sprintf("%+.1f", 100*v)
	}
	return "[" + f(e.Lo) + ", " + f(e.Hi) + "]"
}

// shortVerdict is in words what a figure's colour can't tell everyone.
func shortVerdict(v analysis.Verdict) string {
	switch v {
	case analysis.NoDifference:
		return "no diff. seen"
	case analysis.TooFew:
		return "too few"
	}
	return ""
}

// rowName is a message size as the paper writes it, with what else varies.
func rowName(e *analysis.Experiment, rest map[string]string, bytes int64) string {
	others := map[string]string{}
	for f, l := range rest {
		if f != "message_size" {
			others[f] = l
		}
	}
	name := restName(e, others)
	switch {
	case bytes == 0:
		return cmp.Or(name, "all")
	case name == "":
		return fmt.Sprint(bytes)
	}
	return fmt.Sprintf("%d %s", bytes, name)
}

// interactionVerdict is the paper's claim, judged in a sentence.
func interactionVerdict(e *analysis.Experiment, row *analysis.AffinityRow, m analysis.Metric) string {
	name := rowName(e, row.Rest, row.MessageBytes) + ": "
	x := row.Interaction[m]
	if x == nil {
		return name + "whether BOTH gains more than the sum of IRQ and PROCESS can't be told: a case is missing."
	}
	rng := fmt.Sprintf("%+.1f points, interval %+.1f to %+.1f, %s", 100*x.Value, 100*x.Lo, 100*x.Hi, pValue(x.P))
	switch x.Verdict {
	case analysis.More:
		return name + "BOTH gains more than IRQ plus PROCESS (" + rng + ")."
	case analysis.Less:
		return name + "BOTH gains less than IRQ plus PROCESS (" + rng + ")."
	case analysis.TooFew:
		return name + fmt.Sprintf("too few replicates to tell whether BOTH gains more than IRQ plus PROCESS (%s at %.0f %% confidence).", rng, 100*x.Confidence)
	default:
		return name + "no difference seen between BOTH and IRQ plus PROCESS (" + rng + ")."
	}
}

func verdictStyle(v analysis.Verdict) style {
	switch v {
	case analysis.More:
		return green
	case analysis.Less:
		return red
	}
	return dim
}

// pValue writes a p-value with what precision it deserves.
func pValue(p float64) string {
	switch {
	case p < 0.001:
		return "p<0.001"
	case p >= 0.995:
		return "p=1"
	}
	return fmt.Sprintf("p=%.3f", p)
}

func (p *printer) cells(e *analysis.Experiment) {
	p.print("\n")
	p.line("  Cells: medians of the replicates, ± half the 95 % interval", dim)
	marked := false
	t := &table{left: 1}
	t.head("Cell", "n", "throughput", "", "scaled: server", "", "scaled: machine", "", "CPU used")
	for _, c := range e.Cells {
		row := []textCell{{text: cellName(e, c.Levels)}, {text: fmt.Sprint(c.OK)}}
		for _, m := range []analysis.Metric{analysis.Throughput, analysis.Server, analysis.Machine} {
			if d := c.Metrics[m]; d != nil {
				row = append(row, textCell{text: unit.BitRate(d.Median.Value) + modesMark(c, m)}, textCell{plusMinus(d.Median), dim})
				marked = marked || d.Modes != nil
			} else {
				row = append(row, textCell{"-", dim}, textCell{})
			}
		}
		t.row(append(row, textCell{text: unit.Percent(c.Utilization)})...)
	}
	p.table(t)
	if marked {
		p.wrap("  † the trials fall into two groups: the median describes neither", 4, yellow)
	}
}

// plusMinus is the interval's half width as a share, with its confidence if
// that is not the usual.
func plusMinus(e stats.Estimate) string {
	if e.N < 2 {
		return "?"
	}
	s := fmt.Sprintf("±%.1f %%", 100*e.RelativeHalfWidth())
	if e.Confidence < stats.DefaultConfidence {
		s += fmt.Sprintf(" (%.0f %%)", 100*e.Confidence)
	}
	return s
}

func (p *printer) environment(d *result.Dir) {
	p.section("Environment", "")
	for _, f := range studyFacts(d) {
		p.wrap("  "+f.Name+": "+f.Value, 4, plain)
	}
	for _, role := range roles(d.Hosts) {
		p.line("  "+role, dim)
		for _, f := range hostFacts(d.Hosts[role]) {
			p.wrap(fmt.Sprintf("    %s: %s", f.Name, f.Value), 6, plain)
		}
	}
	if ks := knobs(d); len(ks) > 0 {
		p.line("  settings in force, read back", dim)
		for _, k := range ks {
			p.wrap(fmt.Sprintf("    %s by %s: %s (%d trials)", k.Name, k.Mechanism, strings.Join(k.Values, " | "), k.Trials), 6, plain)
		}
	}
}

func (p *printer) warnings(ws []analysis.Warning) {
	if len(ws) == 0 {
		p.section("Warnings", "none")
		return
	}
	p.section("Warnings", fmt.Sprint(len(ws)))
	for _, w := range slices.Clone(ws) {
		p.wrap("  "+warningText(w), 4, yellow)
	}
}

func warningText(w analysis.Warning) string {
	where := w.Experiment
	if w.Cell != "" {
		where += " " + strings.ReplaceAll(w.Cell, ",", " ")
	}
	if where != "" {
		where = " (" + where + ")"
	}
	count := ""
	if w.Count > 1 && w.Experiment == "" {
		count = fmt.Sprintf(" [%d trials, first shown]", w.Count)
	}
	return w.Code + where + ": " + w.Text + count
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
