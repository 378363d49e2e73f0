package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// Sides names the two sides of a comparison.
type Sides struct {
	Before, After string
}

// ProfileDiffText writes two sides of profiles as tables, per byte carried.
func ProfileDiffText(w io.Writer, d *profile.Diff, names Sides, o TextOptions) error {
	p := newPrinter(w, o)
	p.line("stackmeter profile diff: nanoseconds of CPU time per kilobyte carried", bold)
	p.wrap(fmt.Sprintf("  before: %s (%d profiles)", names.Before, d.BeforeProfiles), 4, plain)
	p.wrap(fmt.Sprintf("  after:  %s (%d profiles)", names.After, d.AfterProfiles), 4, plain)
	for _, t := range diffTables(d) {
		p.profileTable(t)
	}
	for _, n := range d.Notes {
		p.wrap("  ! "+n, 4, yellow)
	}
	return p.err
}

func diffTables(d *profile.Diff) []*profileTable {
	stages := &profileTable{Name: "stages", Title: "by stage of the stack, as Table 2: baseline against affinity", Left: 1, Head: diffHead("stage")}
	for _, i := range stage.Stages() {
		for _, c := range d.Stages {
			if c.Name == string(i.Stage) {
				diffRow(stages, i.Title, c)
			}
		}
	}
	diffRow(stages, "busy, without what ran beside", d.Total)
	diffRow(stages, "idle (halted)", d.Idle)
	functions := &profileTable{Name: "functions", Title: fmt.Sprintf("the %d that changed most, by their own time", topFunctions), Left: 1, Head: diffHead("function")}
	for _, c := range d.Functions[:min(topFunctions, len(d.Functions))] {
		diffRow(functions, cut(c.Name, 40), c)
	}
	counts := &profileTable{Name: "counts", Title: "events per MB carried (lock waits in their own pass)", Left: 1, Head: diffHead("event")}
	for _, c := range d.Counts {
		if len(counts.Rows) < topFunctions && (c.Before > 0.01 || c.After > 0.01) {
			name, _, _ := strings.Cut(c.Name, " (")
			diffRow(counts, cut(name, 38), c)
		}
	}
	if d.CrossCPU.Before+d.CrossCPU.After > 0 {
		counts.note("bytes whose softirq and reader ran on different CPUs: %.1f %% before, %.1f %% after", 100*d.CrossCPU.Before, 100*d.CrossCPU.After)
	}
	out := []*profileTable{stages, functions}
	for _, e := range d.Events {
		t := &profileTable{Name: e.Event, Title: e.Title + ", per kB", Left: 1, Head: diffHead("function")}
		for _, c := range e.Functions[:min(topEvents, len(e.Functions))] {
			diffRow(t, cut(c.Name, 40), c)
		}
		out = append(out, t)
	}
	return append(out, counts)
}

func diffHead(name string) []string {
	return []string{name, "before", "after", "change", "", "interval", "sure"}
}

func diffRow(t *profileTable, name string, c profile.Change) {
	relative := ""
	if c.Before > 0 {
		relative = fmt.Sprintf("%+.0f %%", 100*(c.After/c.Before-1))
	}
	interval, sure := "", ""
	if s := c.Shift; s != nil && s.N > 1 {
		interval = fmt.Sprintf("%s to %s", difference(s.Lo), difference(s.Hi))
		if s.Confidence < stats.DefaultConfidence {
			interval += fmt.Sprintf(" (%.0f %%)", 100*s.Confidence)
		}
		if s.Excludes(0, stats.DefaultConfidence) {
			sure = "yes"
		}
	}
	t.row(name, nanoseconds(c.Before), nanoseconds(c.After), difference(c.After-c.Before), relative, interval, sure)
}

func nanoseconds(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func difference(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%+.0f", v)
	}
	return fmt.Sprintf("%+.2f", v)
}

// The files of a comparison's directory.
const (
	DiffFile      = "diff.json"
	DiffFlameFile = "diff-flame.svg"
)

// WriteProfileDiff keeps a comparison in a directory and returns the path of its
// report.html.
func WriteProfileDiff(dir string, d *profile.Diff, before, after []*profile.Profile, names Sides) (page string, err error) {
	record, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return "", fmt.Errorf("%s: %w", DiffFile, err)
	}
	var html, flame bytes.Buffer
	if err := ProfileDiffHTML(&html, d, before, after, names); err != nil {
		return "", err
	}
	if err := DiffFlameSVG(&flame, before, after); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	page = filepath.Join(dir, ReportFile)
	for name, b := range map[string][]byte{DiffFile: append(record, '\n'), DiffFlameFile: flame.Bytes(), ReportFile: html.Bytes()} {
		if err := result.WriteAtomically(filepath.Join(dir, name), b); err != nil {
			return "", err
		}
	}
	return page, nil
}

// ProfileDiffHTML writes a comparison as one self-contained page, without script.
func ProfileDiffHTML(w io.Writer, d *profile.Diff, before, after []*profile.Profile, names Sides) error {
	p := diffPage(d, before, after)
	p.Style = template.CSS(pageStyle) //nolint:gosec // our own file
	p.Title = "What changed, per byte carried"
	p.Subtitle = fmt.Sprintf("before: %s (%d profiles) · after: %s (%d profiles)", names.Before, d.BeforeProfiles, names.After, d.AfterProfiles)
	return profileTmpl.Execute(w, p)
}

func diffPage(d *profile.Diff, before, after []*profile.Profile) profilePage {
	return profilePage{
		Tables: diffTables(d), Limits: d.Notes,
		Flames: []flameFigure{{
			Title: "Differential flame graph: red costs more per byte after, blue less; width is the larger side",
			Image: flameOfTwo(profile.DiffTree(before, after)).inline("differential flame graph"),
		}},
	}
}
