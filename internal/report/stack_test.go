package report

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
)

// inside is a look that was taken: `stackmeter study` with inside_stack on a virtual machine
// with 2 CPUs, 2026-11-22.
const inside = "testdata/stack.json"

// withInside is a synthetic study with that look.
func withInside(t *testing.T) *result.Dir {
	t.Helper()
	d := writeStack(t, synthetic.Options{})
	b, err := os.ReadFile(inside)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.Path, StackFile), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStackText(t *testing.T) {
	t.Parallel()
	r, err := ReadStack("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := StackText(&b, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^  rep-movsl +not aligned +\d\d+ .* 7000$`,
		`(?m)^  rep-movsl +aligned +\d\d+ .* 3000$`,
		`(?m)^  auto, fused +not aligned +\d\d+ `,
		`(?m)^  int32 +not aligned +\d\d+ .* 4000$`,
		`(?m)^  device +receive calls +1\d\d\d +\d\d\.\d +1\d\d\d +\d+(\.\d)? +136 +1254$`,
		`(?m)^  link, IP +calls( +1000){6}$`,
		`(?m)^  1500 by 1, single +1\d\d\d +1\d\d\d +1\d\d\d +3\d\d\d `,
		`(?m)^  1500 by 64, recycled +\d\d\.\d +\d+ +0 `,
		`(?m)^  the paper, 1500 +14 +1000 +1083$`,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("the text does not match %s", want)
		}
	}
	for _, width := range []int{60, 80, 100} {
		b.Reset()
		if err := StackText(&b, r, TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("width %d: line %d has %d columns: %q", width, i+1, n, line)
			}
		}
	}
}

func TestStackInBrowser(t *testing.T) {
	t.Parallel()
	browser(t)
	// The study's four figures and the look's two.
	inFrames(t, render(t, withInside(t)), 6, 32+9, 6*(32+9))
}

func TestStackInJSONAndBack(t *testing.T) {
	t.Parallel()
	d := withInside(t)
	var b bytes.Buffer
	if err := JSON(&b, d); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"inside_stack": {`) {
		t.Error("the look is not in the JSON")
	}
	r, err := ReadStack(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteStack(d.Path, r); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadStack(d.Path); err != nil || len(again.Copies) != len(r.Copies) || len(again.Layers) != 12 {
		t.Errorf("written and read: %v, %+v", err, again)
	}
}

// A file that can't be read is an error that names it, but for one that is not there.
func TestStackFilesThatAreNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadStack(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for _, content := range []string{"", "{", "{}", `{"schema":99}`, `{"schema":1,"layers":7}`} {
		if err := os.WriteFile(filepath.Join(dir, StackFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStack(dir); err == nil || !strings.Contains(err.Error(), StackFile) {
			t.Errorf("%q: error %v", content, err)
		}
	}
}
