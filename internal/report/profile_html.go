package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"io"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

//go:embed profile.tmpl
var profileTemplate string

var profileTmpl = template.Must(template.New("profile").Funcs(template.FuncMap{
	"width": func(share float64) string { return num(260 * share) },
}).Parse(profileTemplate))

// profilePage is what the template shows.
type profilePage struct {
	Style           template.CSS
	Title, Subtitle string
	Limits          []string
	Warnings        []trial.Warning
	Flames          []flameFigure
	Tables          []*profileTable
}

type flameFigure struct {
	Title string
	Keys  []key
	Image template.HTML
}

// ProfileHTML writes a profile as one self-contained page, without script.
func ProfileHTML(w io.Writer, x *profile.Profile) error {
	p := profilePage{
		Style: template.CSS(pageStyle), //nolint:gosec // our own file
		Title: "Where the stack spends its time: " + x.Load,
		Subtitle: strings.Join([]string{
			x.Started.UTC().Format("2 January 2006, 15:04 UTC"), "Linux " + x.Kernel, fmt.Sprintf("%d CPUs", len(x.CPUs)), unit.Seconds(x.Seconds),
		}, " · "),
		Limits: limitTexts(x), Warnings: x.Warnings, Tables: profileTables(x),
	}
	if s := x.Sampling; s != nil && s.Samples > 0 {
		title := "Flame graph: width is CPU time, callers below callees, colour by stage; " + FlameFile + " can be zoomed"
		p.Flames = append(p.Flames, flameFigure{title, stageKeys(s), flameOf(s.Tree(), "").inline("flame graph")})
	}
	return profileTmpl.Execute(w, p)
}

// profileSections is the part of a study's page about the profiles of its trials; empty
// if there are none.
func profileSections(d *result.Dir) (template.HTML, error) {
	pairs, err := ProfilePairs(d)
	if err != nil || len(pairs) == 0 {
		return "", err
	}
	var b bytes.Buffer
	b.WriteString(`<div id="profiles">`)
	for _, pair := range pairs {
		diff, err := profile.Compare(pair.Before, pair.After)
		if err != nil {
			continue // of too few that carried anything
		}
		fmt.Fprintf(&b, "<h2>What affinity changed, per byte carried</h2><p class=\"muted\">%s: %d profiles. %s: %d profiles.</p>\n",
			html.EscapeString(pair.Names.Before), diff.BeforeProfiles, html.EscapeString(pair.Names.After), diff.AfterProfiles)
		p := diffPage(diff, pair.Before, pair.After)
		for i, side := range [][]*profile.Profile{pair.Before, pair.After} {
			title := []string{"Flame graph before: width is CPU time per byte", "Flame graph after"}[i]
			p.Flames = append(p.Flames, flameFigure{title, stageKeys(side[0].Sampling), flameOf(profile.DiffTree(nil, side), "ns/kB").inline(title)})
		}
		if err := profileTmpl.ExecuteTemplate(&b, "sections", p); err != nil {
			return "", err
		}
	}
	b.WriteString("</div>\n")
	return template.HTML(b.String()), nil //nolint:gosec // escaped above and by the template
}
