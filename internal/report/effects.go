package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// factorName is a factor as a person calls it.
func factorName(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "stack_"), "_", " ")
}

// effectsCell names a cell of a design of two levels by the factors that have the second.
func effectsCell(x *analysis.Effects, levels map[string]string) string {
	var on []string
	for _, f := range x.Factors {
		if levels[f.Name] == f.With {
			on = append(on, factorName(f.Name))
		}
	}
	switch len(on) {
	case 0:
		return "none"
	case len(x.Factors):
		return "all"
	}
	return strings.Join(on, " + ")
}

// effectName is a factor, or two.
func effectName(e *analysis.Effect) string {
	var names []string
	for _, f := range e.Factors {
		names = append(names, factorName(f))
	}
	return strings.Join(names, " × ")
}

// mixed says what a half fraction can't tell apart.
func mixed(x *analysis.Effects) string {
	k := len(x.Factors)
	if !x.Half {
		return ""
	}
	return fmt.Sprintf("Half of the 2^%d combinations were run: the effect of one factor is mixed with the interaction of the other %d, that of two with the interaction of the other %d, which are taken for nothing (resolution %s).",
		k, k-1, k-2, map[int]string{5: "V", 6: "VI", 7: "VII", 8: "VIII"}[k])
}

// chance says how many verdicts to expect of nothing.
func chance(x *analysis.Effects, confidence float64) string {
	n := len(x.Main) + len(x.Interactions)
	return fmt.Sprintf("Of %d intervals of %.0f %%, up to %.1f exclude zero by chance.", n, 100*confidence, (1-confidence)*float64(n))
}

func (p *printer) effects(r *analysis.Report, e *analysis.Experiment) {
	x := e.Effects
	p.print("\n")
	p.wrap("  What each is worth over all levels of the others: gain in "+metricName(r.Primary)+", in %", 4, plain)
	t := &table{left: 1}
	t.head("Factor", "from", "to", "gain (%)", "interval", "machine (%)", "throughput (%)", "verdict")
	for i, m := range x.Main {
		f := x.Factors[i]
		t.row(append([]textCell{{text: effectName(m)}, {f.Without, dim}, {f.With, dim}}, worthCells(r, m)...)...)
	}
	if g := x.Together; g != nil {
		row := []textCell{{text: "all together"}, {}, {}}
		byMetric := map[analysis.Metric]*analysis.Worth{}
		for m, gain := range g.Gains {
			byMetric[m] = &analysis.Worth{Comparison: gain.Unpaired, Verdict: gain.Verdict}
		}
		t.row(append(row, worthCells(r, &analysis.Effect{By: byMetric})...)...)
	}
	p.table(t)
	told, rest := tellInteractions(x, r.Primary)
	if len(x.Interactions) > 0 {
		p.print("\n")
		p.wrap("  Two together, beyond what they give apart multiplies to, in %", 4, plain)
		t = &table{left: 1}
		t.head("Factors", "beyond (%)", "interval", "machine (%)", "throughput (%)", "verdict")
		for _, i := range told {
			t.row(append([]textCell{{text: effectName(i)}}, worthCells(r, i)...)...)
		}
		if len(told) > 0 {
			p.table(t)
		}
		for _, i := range told {
			for _, g := range i.Given {
				if s := givenText(g, r.Primary); s != "" {
					p.wrap("  "+s, 4, plain)
				}
			}
		}
		if rest != "" {
			p.wrap("  "+rest, 4, dim)
		}
	}
	for _, s := range []string{mixed(x), chance(x, r.Confidence)} {
		if s != "" {
			p.wrap("  "+s, 4, dim)
		}
	}
}

// worthCells are the columns of an effect.
func worthCells(r *analysis.Report, e *analysis.Effect) []textCell {
	w := e.By[r.Primary]
	if w == nil {
		return []textCell{{"-", dim}}
	}
	row := []textCell{{points(w.Value), verdictStyle(w.Verdict)}, {pointRange(w.Estimate), dim}}
	for _, m := range []analysis.Metric{analysis.Machine, analysis.Throughput} {
		if o := e.By[m]; o != nil {
			row = append(row, textCell{points(o.Value), verdictStyle(o.Verdict)})
		} else {
			row = append(row, textCell{"-", dim})
		}
	}
	return append(row, textCell{text: wordOf(w.Verdict)})
}

// wordOf is a verdict where there is little room.
func wordOf(v analysis.Verdict) string {
	switch v {
	case analysis.NoDifference:
		return "no diff."
	case analysis.TooFew:
		return "too few"
	}
	return string(v)
}

// givenText is what a factor is worth at both levels of another, in a sentence.
func givenText(g *analysis.Given, m analysis.Metric) string {
	without, with := g.Without[m], g.With[m]
	if without == nil || with == nil {
		return ""
	}
	other := factorName(g.Other.Name)
	return fmt.Sprintf("%s: with %s %s %s; with %s %s %s.", factorName(g.Factor),
		other, g.Other.Without, verdictText(without.Estimate, without.Verdict), other, g.Other.With, verdictText(with.Estimate, with.Verdict))
}

// tellInteractions parts the interactions into those worth a line, the largest first,
// and a sentence on the others.
func tellInteractions(x *analysis.Effects, m analysis.Metric) (told []*analysis.Effect, rest string) {
	others, largest := 0, 0.0
	for _, i := range byWorth(x.Interactions, m) {
		w := i.By[m]
		switch {
		case w == nil:
		case w.Verdict == analysis.NoDifference:
			others++
			largest = max(largest, math.Abs(w.Value))
		default:
			told = append(told, i)
		}
	}
	if others > 0 {
		rest = fmt.Sprintf("Of %d others: %s, the largest %.2f %%.", others, analysis.NoDifference, 100*largest)
	}
	return told, rest
}

// byWorth sorts effects by how far from nothing they are.
func byWorth(in []*analysis.Effect, m analysis.Metric) []*analysis.Effect {
	size := func(e *analysis.Effect) float64 {
		if w := e.By[m]; w != nil {
			return math.Abs(math.Log1p(w.Value))
		}
		return -1
	}
	return slices.SortedStableFunc(slices.Values(in), func(a, b *analysis.Effect) int { return cmp.Compare(size(b), size(a)) })
}

func effectsFinding(e *analysis.Experiment, m analysis.Metric) []string {
	if e.Effects == nil {
		return nil
	}
	var out []string
	for i, f := range e.Effects.Main {
		w := f.By[m]
		if w == nil {
			continue
		}
		t := e.Effects.Factors[i]
		out = append(out, fmt.Sprintf("%s: %s %s against %s: %s.", e.Name, effectName(f), t.With, t.Without, verdictText(w.Estimate, w.Verdict)))
	}
	if g := e.Effects.Together; g != nil && g.Gains[m] != nil {
		u := g.Gains[m].Unpaired
		out = append(out, fmt.Sprintf("%s: all together against none: %s.", e.Name, verdictText(u.Estimate, g.Gains[m].Verdict)))
	}
	return out
}

// verdictText is a gain with its interval, claimed only where the interval allows.
func verdictText(e stats.Estimate, v analysis.Verdict) string {
	s := fmt.Sprintf("%+.1f %% [%+.1f, %+.1f]", 100*e.Value, 100*e.Lo, 100*e.Hi)
	switch v {
	case analysis.NoDifference, analysis.TooFew:
		return string(v) + " (" + s + ")"
	}
	return s
}

// effectsTable is the page's table of effects.
type effectsTable struct {
	Metric, Mixed, Chance string
	Main, Interactions    []effectsRow
	Given                 []string // of the interactions that are told
}

type effectsRow struct {
	Name, From, To               string
	Primary, Machine, Throughput *figure
}

func newEffectsTable(r *analysis.Report, x *analysis.Effects) *effectsTable {
	if x == nil {
		return nil
	}
	t := &effectsTable{Metric: metricName(r.Primary), Mixed: mixed(x), Chance: chance(x, r.Confidence)}
	row := func(name string, by map[analysis.Metric]*analysis.Worth) effectsRow {
		fig := func(m analysis.Metric) *figure {
			if w := by[m]; w != nil {
				return newFigure(&w.Comparison, w.Verdict)
			}
			return nil
		}
		return effectsRow{Name: name, Primary: fig(r.Primary), Machine: fig(analysis.Machine), Throughput: fig(analysis.Throughput)}
	}
	for i, m := range x.Main {
		one := row(effectName(m), m.By)
		one.From, one.To = x.Factors[i].Without, x.Factors[i].With
		t.Main = append(t.Main, one)
	}
	if x.Together != nil {
		by := map[analysis.Metric]*analysis.Worth{}
		for m, g := range x.Together.Gains {
			by[m] = &analysis.Worth{Comparison: g.Unpaired, Verdict: g.Verdict}
		}
		one := row("all together", by)
		one.From, one.To = "none", "all"
		t.Main = append(t.Main, one)
	}
	told, _ := tellInteractions(x, r.Primary)
	for _, i := range told {
		for _, g := range i.Given {
			t.Given = append(t.Given, givenText(g, r.Primary))
		}
	}
	for _, i := range byWorth(x.Interactions, r.Primary) {
		t.Interactions = append(t.Interactions, row(effectName(i), i.By))
	}
	return t
}

// figureEffects draws what each factor is worth, figureInteractions the largest of what
// two are worth together.
func figureEffects(e *analysis.Experiment, m analysis.Metric) *chart {
	x := e.Effects
	var names []string
	for i, f := range x.Main {
		names = append(names, effectName(f)+catBreak+x.Factors[i].Without+catBreak+"→ "+x.Factors[i].With)
	}
	return effectBars(x.Main, names, m, "What each technique is worth, over all levels of the others: gain in "+metricName(m)+".")
}

func figureInteractions(e *analysis.Experiment, m analysis.Metric) *chart {
	largest := byWorth(e.Effects.Interactions, m)
	largest = largest[:min(len(largest), 6)]
	var names []string
	for _, f := range largest {
		names = append(names, strings.ReplaceAll(effectName(f), " × ", catBreak+"× "))
	}
	return effectBars(largest, names, m, "The largest interactions: what two give together beyond what they give apart multiplies to.")
}

func effectBars(effects []*analysis.Effect, names []string, m analysis.Metric, caption string) *chart {
	c := &chart{
		Title: caption, Desc: "The table below holds the same numbers.", Caption: caption,
		YTitle: "% gain", Bars: true, colorPerMark: true, Cats: names,
	}
	one := series{}
	seen := false
	for i, f := range effects {
		var mk mark
		if w := f.By[m]; w != nil {
			mk = estimateMark(w.Estimate, fmt.Sprintf("%s: %+.1f %% %s", effectName(f), 100*w.Value, pointRange(w.Estimate))).scaled(0.01)
			mk.Color, seen = i, true
		}
		one.Marks = append(one.Marks, mk)
	}
	if !seen {
		return nil
	}
	c.Series = []series{one}
	return c
}

// sized reports whether all that an experiment's contrasts differ in is the message size,
// as in Figures 4 to 6 of the paper.
func sized(e *analysis.Experiment) bool {
	for _, c := range e.Contrasts {
		if len(c.Rest) != 1 || c.Rest["message_size"] == "" {
			return false
		}
	}
	return len(e.Contrasts) > 1
}

// figureSizes draws a metric by message size, a line for each of the other cells.
func figureSizes(e *analysis.Experiment, m analysis.Metric) *chart {
	c := &chart{
		Title: upperFirst(metricName(m)) + " by message size", Desc: "The table of cells below holds the same numbers.",
		Caption: cmp.Or(e.Title, e.Name) + ": " + metricName(m) + " by message size.", XTitle: "message size",
	}
	lines := map[string]int{}
	for at, k := range e.Contrasts {
		bytes, _ := unit.ParseSize(k.Rest["message_size"])
		c.Cats = append(c.Cats, unit.Size(bytes))
		var cells []*analysis.Cell
		if k.Baseline != nil {
			cells = append(cells, k.Baseline)
		}
		for _, a := range k.Against {
			cells = append(cells, a.Cell)
		}
		for _, cell := range cells {
			d := cell.Metrics[m]
			if d == nil {
				continue
			}
			levels := maps.Clone(cell.Levels)
			delete(levels, "message_size")
			name := cellName(e, levels)
			i, ok := lines[name]
			if !ok {
				i = len(c.Series)
				lines[name] = i
				c.Series = append(c.Series, series{Name: name, Color: i, Marks: make([]mark, len(e.Contrasts))})
			}
			c.Series[i].Marks[at] = estimateMark(d.Median, rateTip(name+", "+c.Cats[at], d.Median))
		}
	}
	if len(c.Series) == 0 || len(c.Series) > palette {
		return nil
	}
	c.YTitle = c.rescale()
	return c
}
