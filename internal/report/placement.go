package report

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// placementTable is Tables 11 to 13's counterpart.
type placementTable struct {
	Caption  string
	Head     []string
	Rows     []placementRow
	Verdicts []string
}

// placementRow is a NIC, or all of them.
type placementRow struct {
	Name  string
	Cells []placementCell
}

type placementCell struct{ Value, Doubt string }

func newPlacementTable(e *analysis.Experiment, x *analysis.Placement) placementTable {
	t := placementTable{Caption: "Tables 11 to 13’s counterpart: throughput by NIC", Head: []string{""}, Verdicts: placementVerdicts(x)}
	if rest := restName(e, x.Rest); rest != "" {
		t.Caption += ", " + rest
	}
	nics := 0
	for _, c := range x.Cases {
		t.Head = append(t.Head, busName(c.Bus))
		nics = max(nics, len(c.NICs))
	}
	paper, stated := analysis.PaperPlacement[nics]
	if stated {
		t.Head = append(t.Head, "the paper, separate", "the paper, shared")
	}
	total := placementRow{Name: "Total"}
	for nic := range nics {
		row := placementRow{Name: fmt.Sprintf("NIC %d", nic+1)}
		for _, c := range x.Cases {
			cell := placementCell{Value: "-"}
			if nic < len(c.NICs) && c.NICs[nic].N > 0 {
				cell = placementCell{unit.BitRate(c.NICs[nic].Value), plusMinus(c.NICs[nic])}
			}
			row.Cells = append(row.Cells, cell)
		}
		if stated {
			row.Cells = append(row.Cells, placementCell{Value: unit.BitRate(paper.Separate[nic])}, placementCell{Value: unit.BitRate(paper.Shared[nic])})
		}
		t.Rows = append(t.Rows, row)
	}
	for _, c := range x.Cases {
		cell := placementCell{Value: "-"}
		if c.Total != nil {
			cell = placementCell{unit.BitRate(c.Total.Value), plusMinus(*c.Total)}
		}
		total.Cells = append(total.Cells, cell)
	}
	if stated {
		total.Cells = append(total.Cells, placementCell{Value: unit.BitRate(sum(paper.Separate))}, placementCell{Value: unit.BitRate(sum(paper.Shared))})
	}
	t.Rows = append(t.Rows, total)
	return t
}

func sum(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}

// busName is a level of the factor bus in words.
func busName(level string) string {
	switch level {
	case "separate":
		return "a bus each"
	case "shared":
		return "two on one bus"
	}
	return "buses as found"
}

// alike is the difference, as a part, up to which an interval tells that placements are alike.
const alike = 0.05

// placementVerdicts says what sharing a bus costs.
func placementVerdicts(x *analysis.Placement) []string {
	var out []string
	for i, g := range x.Gain {
		if g == nil {
			continue
		}
		c := g.Unpaired
		figures := fmt.Sprintf("%+.1f %% [%+.1f, %+.1f], %s", 100*c.Value, 100*c.Lo, 100*c.Hi, pValue(c.P))
		a, b := busName(x.Cases[i+1].Bus), busName(x.Cases[0].Bus)
		switch g.Verdict {
		case analysis.More, analysis.Less:
			out = append(out, fmt.Sprintf("With %s, against %s, all NICs together carry %s: %s.", a, b, g.Verdict, figures))
		case analysis.TooFew:
			out = append(out, fmt.Sprintf("Too few replicates to tell %s from %s (%s).", a, b, figures))
		case analysis.NoDifference:
			if max(-c.Lo, c.Hi) <= alike {
				figures += "; the bus is not what holds these NICs back"
			} else {
				figures += "; a difference of this size may be there"
			}
			out = append(out, fmt.Sprintf("No difference seen between %s and %s: %s.", a, b, figures))
		}
	}
	return out
}

// placement prints the table.
func (p *printer) placement(e *analysis.Experiment, x *analysis.Placement) {
	pt := newPlacementTable(e, x)
	p.print("\n")
	p.line("  "+pt.Caption, plain)
	t := &table{left: 1}
	t.head(pt.Head...)
	for _, r := range pt.Rows {
		value, doubt := []textCell{{text: r.Name}}, []textCell{{}}
		for _, c := range r.Cells {
			value, doubt = append(value, textCell{text: c.Value}), append(doubt, textCell{c.Doubt, dim})
		}
		t.row(value...)
		t.row(doubt...)
	}
	p.table(t)
	for _, v := range pt.Verdicts {
		p.wrap("  "+v, 4, plain)
	}
}
