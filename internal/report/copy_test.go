package report

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stackmeter/stackmeter/internal/copylab"
	"github.com/stackmeter/stackmeter/internal/result"
)

var measuredCopy = sync.OnceValues(func() (copylab.Report, error) {
	return copylab.Run(context.Background(), copylab.Config{Auto: true, Quick: true, Force: true, Seed: 1}, nil)
})

// copies is one quick run of the laboratory, shared by the tests.
func copies(t *testing.T) copylab.Report {
	t.Helper()
	if testing.Short() {
		t.Skip("measures for two seconds: not in -short")
	}
	r, err := measuredCopy()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The section fits a page of its own and the page of a study, at both widths.
func TestCopyInBrowser(t *testing.T) {
	t.Parallel()
	browser(t)
	r := copies(t)
	var alone bytes.Buffer
	if err := CopyHTML(&alone, r); err != nil {
		t.Fatal(err)
	}
	d := write(t, ugly["one replicate"])
	if _, err := WriteCopy(d.Path, r); err != nil {
		t.Fatal(err)
	}
	own := 2 * len(r.Table5) / 3 // a heat map and a curve for each copy, and more
	for name, page := range map[string][]byte{"alone": alone.Bytes(), "in a study": render(t, d)} {
		for _, bad := range []string{"src=", "@import", "url(", "http://", "https://", "<script", "%!", "ZgotmplZ", "NaN", "Inf"} {
			if i := bytes.Index(page, []byte(bad)); i >= 0 {
				t.Errorf("%s: %q in %.60q", name, bad, page[max(0, i-20):])
			}
		}
		frames, asked, console := look(t, page)
		if len(console) > 0 || len(asked) != 3 {
			t.Errorf("%s: asked for %q, console %q", name, asked, console)
		}
		for _, f := range frames {
			if f.Page > f.Width || len(f.Overflow)+len(f.Texts)+len(f.Fetched) > 0 {
				t.Errorf("%s at %v px: %v wide, overflow %.500q, texts %.500q, fetched %q", name, f.Width, f.Page, f.Overflow, f.Texts, f.Fetched)
			}
			if len(f.Figures) < own || f.Unlabelled+f.Heads > 0 || f.Tips < 100 || f.Smallest < 9 {
				t.Errorf("%s at %v px: %d figures of at least %d, %d without label, %d tables without heads, %d tips, smallest text %v px", name, f.Width, len(f.Figures), own, f.Unlabelled, f.Heads, f.Tips, f.Smallest)
			}
		}
	}
}

// What was measured comes back from its file, and its page beside a study keeps the
// study's sections.
func TestWriteCopy(t *testing.T) {
	t.Parallel()
	r := copies(t)
	dir := t.TempDir()
	page, err := WriteCopy(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadCopy(dir)
	if err != nil || len(back.Cells) != len(r.Cells) || len(back.Verdicts) != len(r.Verdicts) {
		t.Errorf("%d figures came back of %d: %v", len(back.Cells), len(r.Cells), err)
	}
	if b, err := os.ReadFile(page); err != nil || !bytes.Contains(b, []byte(`<section id="copy"`)) || bytes.Contains(b, []byte(`id="trials"`)) {
		t.Errorf("a page of its own: %v, %d bytes", err, len(b))
	}
	d := write(t, ugly["one replicate"])
	if page, err = WriteCopy(d.Path, r); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	for _, want := range []string{`<section id="copy"`, `href="#copy"`, `id="trials"`} {
		if err != nil || !bytes.Contains(b, []byte(want)) {
			t.Errorf("the page of a study lacks %s (%v)", want, err)
		}
	}
}

func TestReadCopyRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadCopy(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for content, want := range map[string]string{
		`{"schema":1`:   CopyFile,
		`{"schema":99}`: "99",
		`{}`:            "schema version 0",
	} {
		if err := os.WriteFile(filepath.Join(dir, CopyFile), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadCopy(dir)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(content, "99") != errors.Is(err, result.ErrNewerSchema) {
			t.Errorf("%s: %v", content, err)
		}
		if d := write(t, ugly["one replicate"]); os.WriteFile(filepath.Join(d.Path, CopyFile), []byte(content), 0o644) != nil || HTML(&bytes.Buffer{}, d) == nil {
			t.Errorf("a page was made of %s", content)
		}
	}
}

func TestCheckCopyDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := CheckCopyDir(dir); err != nil {
		t.Errorf("an empty directory is refused: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{dir: false, file: false, filepath.Join(dir, "new"): true, write(t, ugly["one replicate"]).Path: true} {
		if err := CheckCopyDir(name); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
