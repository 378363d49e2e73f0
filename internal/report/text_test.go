package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// ugly are the results that a report must tell without falling over.
var ugly = map[string]synthetic.Options{
	"clean":         {Seed: 1, Replicates: 6, Sizes: []int{1024, 8192, 65536}},
	"one replicate": {Seed: 2, Replicates: 1},
	"bimodal":       {Seed: 3, Replicates: 10, Bimodal: "both"},
	"interrupted":   {Seed: 4, Replicates: 6, Missing: true, Bad: true},
	"no groups":     {Seed: 5, NoGroups: true},
	"noisy":         {Seed: 6, Noise: 0.3},
}

func text(t *testing.T, d *result.Dir, o TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, d, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextFitsAndTellsAll(t *testing.T) {
	t.Parallel()
	for name, o := range ugly {
		t.Run(name, func(t *testing.T) {
			d := write(t, o)
			for _, width := range []int{60, 80, 100} {
				out := text(t, d, TextOptions{Width: width})
				for i, line := range strings.Split(out, "\n") {
					if n := utf8.RuneCountInString(line); n > width && strings.Contains(strings.TrimSpace(line), " ") {
						t.Errorf("width %d: line %d has %d columns: %q", width, i+1, n, line)
					}
				}
				if strings.Contains(out, "\x1b") {
					t.Error("colour where none was asked")
				}
				if i := strings.Index(out, "%!"); i >= 0 {
					t.Errorf("a broken format: %.40q", out[i:])
				}
				words := strings.Join(strings.Fields(out), " ")
				for _, w := range allWarnings(d, Analyze(d)) {
					if !strings.Contains(words, strings.Join(strings.Fields(w.Text), " ")) {
						t.Errorf("width %d: the warning %q is not shown", width, w.Text)
					}
				}
			}
		})
	}
}

func TestTextLikeThePaper(t *testing.T) {
	t.Parallel()
	out := text(t, write(t, ugly["clean"]), TextOptions{})
	for _, want := range []string{
		`Msgsize +IRQ +PROCESS +BOTH +OPPOSITE +as found +BOTH beyond`,
		`(?m)^  8192 +\+\d+\.\d\d +\+\d+\.\d\d +\+1\d\d\.\d\d `,
		`paper +\+19\.18 +\+25\.25 +\+68\.03 +\+23\.60`,
		`paper +\+11\.31 +\+6\.34 +\+42\.09`,
		`8192: BOTH gains more than IRQ plus PROCESS \(\+1\d\d\.\d points`,
		`over no affinity \(unpinned: scatter\)`,
		`Msgsize +CPUs +median .* factor +interval +ideal`,
		`4 CPUs give 2\.\d\d to 2\.\d\d times the throughput scaled to CPU of one CPU over 3 rows`,
		`(?m)^ +2 +6\.\d\d Gb/s .* 58 % +1\.16$`,
		`Against MTU 1500 · GRO off`,
		`cpu model: AMD EPYC \(synthetic\)`,
		`nics 1: name sm-nic1, driver veth, mtu 1500`,
		`irq-affinity by threaded-napi: 0-1`,
		`WARNINGS +none`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestTextClaimsNothingOnDoubt(t *testing.T) {
	t.Parallel()
	out := text(t, write(t, ugly["one replicate"]), TextOptions{})
	if strings.Contains(out, ": BOTH gains more than") || !strings.Contains(out, "too few replicates to tell") {
		t.Errorf("one replicate:\n%s", out)
	}
	out = text(t, write(t, ugly["noisy"]), TextOptions{})
	if !strings.Contains(out, "no diff. seen") {
		t.Errorf("noise of 30 %% hides no effect of 3 %%:\n%s", out)
	}
	out = text(t, write(t, ugly["bimodal"]), TextOptions{})
	if !strings.Contains(out, "†") || !strings.Contains(out, "two modes") {
		t.Errorf("two modes not shown:\n%s", out)
	}
}

func TestColourOnlyWhereWanted(t *testing.T) {
	d := write(t, ugly["one replicate"])
	if !strings.Contains(text(t, d, TextOptions{Color: true}), "\x1b[1m") {
		t.Error("no colour where it was asked")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if TerminalOptions(f).Color {
		t.Error("colour into a file")
	}
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal to be had: %v", err)
	}
	defer pty.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !TerminalOptions(pty).Color {
		t.Error("no colour on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if TerminalOptions(pty).Color {
		t.Error("colour with NO_COLOR")
	}
}

func TestEmptyAndTruncatedResults(t *testing.T) {
	d := write(t, ugly["clean"])
	d.Trials = nil
	if out := text(t, d, TextOptions{}); !strings.Contains(out, "No trial is on record") {
		t.Errorf("empty result:\n%s", out)
	}
	name := filepath.Join(d.Path, result.TrialsFile)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b[:len(b)-100], 0o644); err != nil {
		t.Fatal(err)
	}
	if d, err = result.Open(d.Path); err != nil {
		t.Fatal(err)
	}
	out := text(t, d, TextOptions{})
	if !strings.Contains(out, "truncated-line") || !strings.Contains(out, "incomplete") || !strings.Contains(out, "--resume") {
		t.Errorf("the truncated line is not told:\n%s", out)
	}
}

type failing struct{ after int }

var errFull = errors.New("disk full")

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteErrorsAreReported(t *testing.T) {
	d := write(t, ugly["one replicate"])
	if err := Text(&failing{500}, d, TextOptions{}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for name, o := range ugly {
		var b bytes.Buffer
		if err := JSON(&b, write(t, o)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var v struct {
			Manifest result.Manifest
			Analysis struct {
				Experiments []struct {
					Name  string
					Cells []struct{ Metrics map[string]any }
				}
			}
		}
		if err := json.Unmarshal(b.Bytes(), &v); err != nil || len(v.Analysis.Experiments) != 4 || v.Manifest.SchemaVersion != trial.SchemaVersion {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
}
