package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/copylab"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/result"
)

// tellResult prints what a result shows and makes its report.html.
func tellResult(w io.Writer, dir string, asJSON bool) error {
	d, err := result.Open(dir)
	if err != nil {
		if _, missing := os.Stat(filepath.Join(dir, result.ManifestFile)); errors.Is(missing, fs.ErrNotExist) {
			if r, copyErr := report.ReadCopy(dir); !errors.Is(copyErr, fs.ErrNotExist) {
				return tellCopy(w, dir, r, copyErr, asJSON)
			}
		}
		return usage(err)
	}
	page, err := report.Write(d)
	if err != nil {
		return err
	}
	if asJSON {
		return report.JSON(w, d)
	}
	if err := report.Text(w, d, textOptions(w)); err != nil {
		return err
	}
	if err := tellProfiles(w, d); err != nil {
		return err
	}
	if r, err := report.ReadStack(dir); err == nil {
		if err := report.StackText(w, r, textOptions(w)); err != nil {
			return err
		}
	}
	if r, err := report.ReadCopy(dir); err == nil {
		fmt.Fprintln(w)
		if err := copylab.WriteSummary(w, r); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "\nfigures: %s\n", page)
	return err
}

// textOptions are right for what is written to.
func textOptions(w io.Writer) report.TextOptions {
	if f, ok := w.(*os.File); ok {
		return report.TerminalOptions(f)
	}
	return report.TextOptions{}
}

// tellCopy prints what is in a directory that has a copy.json and no study, and makes
// its page.
func tellCopy(w io.Writer, dir string, r copylab.Report, err error, asJSON bool) error {
	if err != nil {
		return usage(err)
	}
	page, err := report.WriteCopyPage(dir, r)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, r)
	}
	return printCopy(w, r, page)
}

// tell reports the study's result; an interrupted one without trials has
// nothing to tell.
func (s *studyRun) tell() error {
	return tellResult(s.stdout, s.writer.Path(), s.flags.json)
}
