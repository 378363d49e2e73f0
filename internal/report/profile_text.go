package report

import (
	"fmt"
	"io"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// ProfileText writes a profile as tables.
func ProfileText(w io.Writer, x *profile.Profile, o TextOptions) error {
	p := newPrinter(w, o)
	p.line("stackmeter profile: "+x.Load, bold)
	p.line(fmt.Sprintf("Linux %s, %d CPUs online, %s", x.Kernel, len(x.CPUs), unit.Seconds(x.Seconds)), dim)
	for _, t := range profileTables(x) {
		p.profileTable(t)
	}
	if len(x.Limits) > 0 {
		p.section("not here", "what this machine or this user could not have")
		for _, l := range limitTexts(x) {
			p.wrap("  - "+l, 4, plain)
		}
	}
	if len(x.Warnings) > 0 {
		p.section("warnings", "")
		for _, w := range x.Warnings {
			p.wrap("  ! "+w.Text, 4, yellow)
		}
	}
	return p.err
}

func newPrinter(w io.Writer, o TextOptions) *printer {
	if o.Width <= 0 || o.Width > maxWidth {
		o.Width = maxWidth
	}
	return &printer{w: w, color: o.Color, width: max(o.Width, 60)}
}

func (p *printer) profileTable(x *profileTable) {
	p.section(x.Name, x.Title)
	if len(x.Rows) > 0 {
		t := &table{left: x.Left}
		t.head(x.Head...)
		for _, r := range x.Rows {
			cells := make([]textCell, len(r))
			for i, c := range r {
				cells[i] = textCell{text: c}
			}
			t.row(cells...)
		}
		p.table(t)
	}
	for _, n := range x.Notes {
		p.wrap("  "+n, 4, dim)
	}
}

func limitTexts(x *profile.Profile) []string {
	var out []string
	for _, l := range x.Limits {
		s := l.What + ": " + l.Why
		if l.Mend != "" {
			s += "; " + l.Mend
		}
		out = append(out, s)
	}
	return out
}
