package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/result"
)

// AdvicePage is the page of an advice; report.html beside it has the trials.
const AdvicePage = "advice.html"

//go:embed advice.tmpl
var adviceTemplate string

var adviceTmpl = template.Must(template.New("advice").Funcs(template.FuncMap{"gain": gainWords}).Parse(adviceTemplate))

func writeAdvicePage(dir string, r *advise.Report) (page string, err error) {
	var text, b bytes.Buffer
	if err := AdviceText(&text, r, TextOptions{}); err != nil {
		return "", err
	}
	err = adviceTmpl.Execute(&b, struct {
		*advise.Report
		Style   template.CSS
		Verdict string
		Text    string
	}{r, template.CSS(pageStyle), verdict(r), text.String()}) //nolint:gosec // our own file
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, AdvicePage)
	return name, result.WriteAtomically(name, b.Bytes())
}
