package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/result"
)

// tellResult prints what a result shows and makes its report.html.
func tellResult(w io.Writer, dir string, asJSON bool) error {
	d, err := result.Open(dir)
	if err != nil {
		return usage(err)
	}
	page, err := report.Write(d)
	if err != nil {
		return err
	}
	if asJSON {
		return report.JSON(w, d)
	}
	var o report.TextOptions
	if f, ok := w.(*os.File); ok {
		o = report.TerminalOptions(f)
	}
	if err := report.Text(w, d, o); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nfigures: %s\n", page)
	return err
}

// tell reports the study's result; an interrupted one without trials has
// nothing to tell.
func (s *studyRun) tell() error {
	return tellResult(s.stdout, s.writer.Path(), s.flags.json)
}
