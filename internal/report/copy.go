package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/copylab"
	"github.com/stackmeter/stackmeter/internal/result"
)

// CopyFile holds what the copy laboratory measured on the machine of a result. It may
// be missing, and it may stand alone in a directory without a study.
const CopyFile = "copy.json"

//go:embed copy.tmpl
var copyTemplate string

var copyTmpl = template.Must(template.New("copy").Parse(copyTemplate))

// ReadCopy reads a directory's copy.json. The error is [fs.ErrNotExist], wrapped, if
// there is none.
func ReadCopy(dir string) (r copylab.Report, err error) {
	err = readBeside(dir, CopyFile, &r, &r.Schema, copylab.SchemaVersion)
	return r, err
}

// CheckCopyDir tells whether dir may take a copy.json: a result of a study, a
// directory that holds one already, an empty one, or one that is yet to be made.
func CheckCopyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == result.ManifestFile || e.Name() == CopyFile {
			return nil
		}
	}
	return fmt.Errorf("%s holds other files and no result: name a study's result or a new directory", dir)
}

// WriteCopy stores what was measured in dir, replacing an earlier copy.json, makes
// report.html again and returns its path.
func WriteCopy(dir string, r copylab.Report) (page string, err error) {
	if err := saveBeside(dir, CopyFile, r); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, result.ManifestFile)); errors.Is(err, fs.ErrNotExist) {
		return WriteCopyPage(dir, r)
	}
	d, err := result.Open(dir)
	if err != nil {
		return "", err
	}
	return Write(d)
}

// WriteCopyPage makes report.html of a directory that has a copy.json and no study,
// and returns its path.
func WriteCopyPage(dir string, r copylab.Report) (page string, err error) {
	var b bytes.Buffer
	if err := CopyHTML(&b, r); err != nil {
		return "", err
	}
	name := filepath.Join(dir, ReportFile)
	return name, result.WriteAtomically(name, b.Bytes())
}

// CopyHTML writes a self-contained page of the copy laboratory's section alone.
func CopyHTML(w io.Writer, r copylab.Report) error {
	s, err := copySection(r)
	if err != nil {
		return err
	}
	return copyTmpl.Execute(w, struct {
		Style   template.CSS
		Section template.HTML
		Report  copylab.Report
		Date    string
	}{template.CSS(pageStyle), s, r, r.Started.UTC().Format("2 January 2006, 15:04 UTC")}) //nolint:gosec // our own file
}

func copySection(r copylab.Report) (template.HTML, error) {
	var b bytes.Buffer
	if err := copylab.HTMLSection(&b, r); err != nil {
		return "", fmt.Errorf("section on copies: %w", err)
	}
	return template.HTML(b.String()), nil //nolint:gosec // escaped by its own template
}

// copySectionOf is the section for the page of a study; empty if none was measured.
func copySectionOf(dir string) (template.HTML, error) {
	r, err := ReadCopy(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return copySection(r)
}
