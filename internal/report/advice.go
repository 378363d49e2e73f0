package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// AdviceFile holds an advice in the result of its trials.
const AdviceFile = "advice.json"

// ReadAdvice reads a directory's advice.json. The error is [fs.ErrNotExist], wrapped, if there
// is none.
func ReadAdvice(dir string) (r advise.Report, err error) {
	err = readBeside(dir, AdviceFile, &r, &r.Schema, advise.SchemaVersion)
	return r, err
}

// WriteAdvice keeps an advice in the result of its trials and returns the path of its
// page.
func WriteAdvice(dir string, r *advise.Report) (page string, err error) {
	if err := saveBeside(dir, AdviceFile, r); err != nil {
		return "", err
	}
	return writeAdvicePage(dir, r)
}

// AdviceText writes an advice as text.
func AdviceText(w io.Writer, r *advise.Report, o TextOptions) error {
	if o.Width <= 0 || o.Width > maxWidth {
		o.Width = maxWidth
	}
	p := &printer{w: w, color: o.Color, width: max(o.Width, 60)}
	p.line("stackmeter: advice", bold)
	p.wrap(fmt.Sprintf("rig %s, NICs %s, %d trials in %.0f s of a budget of %.0f s; as found %s, CPUs busy for %s",
		r.Rig, strings.Join(r.NICs, ", "), r.Trials, r.Seconds, r.Budget, unit.BitRate(r.AsFound.Throughput), unit.Percent(busy(&r.AsFound))), 0, dim)
	for _, l := range r.Labels {
		p.wrap(l, 0, bold)
	}
	p.print("\n")
	p.wrap(verdict(r), 0, bold)
	adviceCauses(p, r)
	advicePart(p, r)
	adviceRest(p, r)
	adviceProof(p, r)
	return p.err
}

// verdict is an advice in a sentence.
func verdict(r *advise.Report) string {
	switch {
	case r.NothingToGain():
		return fmt.Sprintf("Nothing to gain: no remedy that was tried gains, and nothing that can be mended holds this back (%.0f s).", r.Seconds)
	case len(r.Advice) == 0 && r.OutOfBudget()+len(r.NotKnown()) > 0:
		text := "No cause is named"
		if len(r.Causes) > 0 {
			text = "Held back by: " + r.Causes[0].Title
		}
		text += ". Whether something gains is not known: "
		if names := r.NotKnown(); len(names) > 0 {
			text += "what was measured does not tell for " + strings.Join(names, ", ") + "; "
		}
		if n := r.OutOfBudget(); n > 0 {
			return text + fmt.Sprintf("the budget of %.0f s had no trial for %d of the remedies; raise --budget.", r.Budget, n)
		}
		return text + "see why below."
	case len(r.Causes) == 0:
		return "No cause is named, yet these gain: " + adviceNames(r) + "."
	case len(r.Advice) == 0:
		return "Held back by: " + r.Causes[0].Title + ". No remedy that could be tried gains: see what mends it below."
	}
	return "Held back by: " + r.Causes[0].Title + ". Gained by: " + adviceNames(r) + "."
}

func adviceNames(r *advise.Report) string {
	var out []string
	for _, a := range r.Advice {
		out = append(out, a.Name)
	}
	return strings.Join(out, ", ")
}

func busy(e *advise.Evidence) float64 {
	var sum float64
	for _, c := range e.CPUs {
		sum += c.Busy
	}
	return sum / max(1, float64(len(e.CPUs)))
}

func adviceCauses(p *printer, r *advise.Report) {
	for i, c := range r.Causes {
		p.print("\n")
		p.wrap(fmt.Sprintf("%d. %s: %s", i+1, c.Title, c.Text), 3, plain)
		for _, f := range c.Why {
			p.wrap(fmt.Sprintf("   - %s: %s (%s)", f.What, f.Value, f.From), 5, dim)
		}
		if c.Mend != "" {
			p.wrap("   mends it: "+c.Mend, 5, plain)
		}
	}
}

func advicePart(p *printer, r *advise.Report) {
	if len(r.Advice) == 0 {
		return
	}
	p.print("\n")
	p.line("Apply, in this order", bold)
	over := "as found"
	for _, a := range r.Advice {
		p.wrap(fmt.Sprintf("  %s: %s, over %s", a.Name, gainWords(&a.Gains), over), 4, plain)
		for _, c := range a.Commands {
			p.line("    "+c, plain)
		}
		if a.Peer != "" {
			p.wrap("    "+a.Peer, 4, plain)
		}
		if l := a.Latency; l != nil {
			p.wrap(fmt.Sprintf("    latency of a request of one byte: p50 %s -> %s, p99 %s -> %s (%d and %d requests)",
				micro(l.Before.P50), micro(l.After.P50), micro(l.Before.P99), micro(l.After.P99), l.Before.Count, l.After.Count), 4, plain)
		}
		over = "those before it"
	}
	if r.Together != nil {
		p.wrap("  together: "+gainWords(r.Together)+", over as found", 4, plain)
	}
}

func micro(seconds float64) string { return fmt.Sprintf("%.0f us", 1e6*seconds) }

func gainWords(g *advise.Gains) string {
	text := fmt.Sprintf("throughput %s [%+.1f %+.1f]", unit.Change(g.Throughput.Value), 100*g.Throughput.Lo, 100*g.Throughput.Hi)
	if g.Scaled != nil {
		text += fmt.Sprintf(", scaled to CPU %s [%+.1f %+.1f]", unit.Change(g.Scaled.Value), 100*g.Scaled.Lo, 100*g.Scaled.Hi)
	}
	return text
}

func adviceRest(p *printer, r *advise.Report) {
	for _, part := range []struct {
		title string
		word  advise.Word
	}{{"Gain, but nothing shown beyond the advice", advise.Gained}, {"Not known", advise.NotKnown}, {"Showed no gain here", advise.Nothing}, {"Cost here", advise.Costs}, {"Could not be had", advise.Failed}} {
		title := part.title
		for _, v := range r.Verdicts {
			if v.Word != part.word || advised(r, v.Name) {
				continue
			}
			if title != "" {
				p.print("\n")
				p.line(title, bold)
				title = ""
			}
			p.wrap(fmt.Sprintf("  %s: %s", v.Name, v.Text), 4, plain)
		}
	}
	if len(r.Untested) > 0 {
		p.print("\n")
		p.line("Not tried", bold)
		for _, u := range r.Untested {
			p.wrap(fmt.Sprintf("  %s: %s", u.What, u.Why), 4, plain)
		}
	}
	p.print("\n")
	p.line("Looked for and not found (doc/advise.md says by which rules)", bold)
	for _, c := range r.Looked {
		p.wrap(fmt.Sprintf("  %s: %s", c.Title, c.Seen), 4, dim)
	}
	for _, n := range append(r.AsFound.Warnings, r.Notes...) {
		p.wrap("  note: "+n, 4, dim)
	}
}

func advised(r *advise.Report, name string) bool {
	for _, a := range r.Advice {
		if a.Name == name {
			return true
		}
	}
	return false
}

func adviceProof(p *printer, r *advise.Report) {
	x := r.Proof
	if x == nil {
		return
	}
	p.print("\n")
	p.line("The rig was spoilt on purpose: "+x.Planted, bold)
	named := "NOT named first"
	if x.NamedLead {
		named = "named first"
	}
	if x.Unspoilt <= 0 || x.Spoilt <= 0 {
		p.wrap("  "+named+"; what it costs was not measured, as the budget had ended", 4, plain)
		return
	}
	p.wrap(fmt.Sprintf("  %s; unspoilt %s, spoilt %s: a loss of %s", named, unit.BitRate(x.Unspoilt), unit.BitRate(x.Spoilt), unit.Percent(x.Loss)), 4, plain)
	if x.Remedy != "" && x.Advised > 0 {
		p.wrap(fmt.Sprintf("  with the first advice (%s) %s: %s of the loss recovered", x.Remedy, unit.BitRate(x.Advised), unit.Percent(x.Recovery)), 4, plain)
	}
}
