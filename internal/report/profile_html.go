package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
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
		p.Flames = append(p.Flames, flameFigure{title, stageKeys(s), flameOf(x).inline("flame graph")})
	}
	return profileTmpl.Execute(w, p)
}
