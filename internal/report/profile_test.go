package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/profile"
)

// capturedProfile is a TCP stream over loopback on a 2-CPU virtual machine.
func capturedProfile(t *testing.T) *profile.Profile {
	t.Helper()
	p, err := ReadProfile("../profile/testdata/loopback.json")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProfileTextHasEverySection(t *testing.T) {
	p := capturedProfile(t)
	p.Limits = append(p.Limits, profile.Limit{What: "PMU", Why: "none", Mend: "another machine"})
	var b bytes.Buffer
	if err := ProfileText(&b, p, TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	for _, want := range []string{
		"PASSES", "WHERE", "copy to and from user", "idle (halted)", "FUNCTIONS", "tcp_sendmsg_locked", "COUNTS", ". packets handed up",
		"LOCALITY", "LOCKS", "NOT HERE", "another machine", "skid", "the kernel",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in:\n%s", want, s)
		}
	}
	for i, line := range strings.Split(s, "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("line %d has %d letters: %s", i+1, n, line)
		}
	}
}

// wellFormed reads XML to its end and counts the elements of a name.
func wellFormed(t *testing.T, b []byte, element string) (n int) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in %.300s", err, b)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == element {
			n++
		}
	}
}

func TestFlameGraphsAreWellFormed(t *testing.T) {
	p := capturedProfile(t)
	p.Sampling.Functions[0] = `operator<"&>`
	var b bytes.Buffer
	if err := FlameSVG(&b, p); err != nil {
		t.Fatal(err)
	}
	if n := wellFormed(t, b.Bytes(), "rect"); n < 50 {
		t.Errorf("%d frames", n)
	}
	if !strings.Contains(b.String(), "tcp_sendmsg_locked") {
		t.Error("tcp_sendmsg_locked is not in it")
	}
	b.Reset()
	if err := DiffFlameSVG(&b, []*profile.Profile{p}, []*profile.Profile{capturedProfile(t)}); err != nil {
		t.Fatal(err)
	}
	if n := wellFormed(t, b.Bytes(), "rect"); n < 50 {
		t.Errorf("%d frames", n)
	}
}

func TestWriteProfileKeepsWhatReadProfileReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	p := capturedProfile(t)
	if err := CheckProfileDir(dir); err != nil {
		t.Fatal(err)
	}
	page, err := WriteProfile(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ProfileFile, PprofFile, FoldedFile, FlameFile, ReportFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`class="flame"`, "tcp_sendmsg_locked", "idle (halted)", "receive softirqs"} {
		if !bytes.Contains(html, []byte(want)) {
			t.Errorf("no %q in the page", want)
		}
	}
	if bytes.Contains(html, []byte("<script")) {
		t.Error("the page has a script")
	}
	again, err := ReadProfile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Sampling.Samples != p.Sampling.Samples || len(again.Passes) != len(p.Passes) {
		t.Error("another profile came back")
	}
	if err := CheckProfileDir(dir); err != nil {
		t.Error(err)
	}
	if err := CheckProfileDir("."); err == nil {
		t.Error("a directory of other files was taken")
	}
}

func TestReadProfileRefuses(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{`{"schema": 99}`: "newer", `{}`: "no profile", `{`: "unexpected end"} {
		name := filepath.Join(dir, ProfileFile)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadProfile(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
