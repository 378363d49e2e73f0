package report

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func writeStack(t testing.TB, o synthetic.Options) *result.Dir {
	t.Helper()
	trials := synthetic.Stack(o)
	return writeTrials(t, "stack", synthetic.StackPlan, trials, len(trials))
}

// The text says what each technique is worth, claims nothing of one that is worth
// nothing, and says what half of the cells can't tell.
func TestTextOfEffects(t *testing.T) {
	t.Parallel()
	d := writeStack(t, synthetic.Options{Noise: 0.02})
	out := text(t, d, TextOptions{})
	for _, want := range []string{
		`(?m)^  gather +1 +64 +\+(79|80|81)\.\d\d +\[\+7\d\.\d, \+8\d\.\d\] .* more$`,
		`(?m)^  align +off +on .* no diff\.$`,
		`(?m)^  locality +spread +shard +-(9|10)\.\d\d .* less$`,
		`(?m)^  all together `,
		`(?m)^  gather × buffers +\+1\d\.\d\d .* more$`,
		`(?s)gather: with buffers single \+6\d\.\d % .*; with\s+buffers\s+recycled \+9\d\.\d %`,
		`Of \d+ others: no difference seen, the largest \d\.\d\d %\.`,
		`techniques: align on against off: no difference seen \(`,
		`techniques: gather 64 against 1: \+\d\d\.\d % \[`,
		`(?m)^  none +6 `, `(?m)^  all +6 `, `(?m)^  gather \+ checksum +6 `,
		`Against copy rep-movsl · 1 KiB|Against 1 KiB · copy rep-movsl`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the text does not match %s", want)
		}
	}
	const half = "mixed with the interaction of the other 5, that of two with the interaction of the other 4, which are taken for nothing (resolution VI)"
	if !strings.Contains(strings.Join(strings.Fields(out), " "), half) {
		t.Error("the text does not say what half of the cells can't tell")
	}
	for _, width := range []int{60, 80} {
		for i, line := range strings.Split(text(t, d, TextOptions{Width: width}), "\n") {
			if n := utf8.RuneCountInString(line); n > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("width %d: line %d has %d columns: %q", width, i+1, n, line)
			}
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// Effects of trials that lack what they need are told without a figure, and without a
// fall.
func TestEffectsOfTooLittle(t *testing.T) {
	t.Parallel()
	trials := synthetic.Stack(synthetic.Options{})
	for name, keep := range map[string]func(trial.Trial) bool{
		"one replicate": func(x trial.Trial) bool { return x.Replicate == 1 },
		"one level":     func(x trial.Trial) bool { return x.Levels["stack_gather"] != "64" },
		"few":           func(x trial.Trial) bool { return x.Order <= 5 },
		"no effects":    func(x trial.Trial) bool { return x.Experiment == "copy" },
	} {
		t.Run(name, func(t *testing.T) {
			some := slices.DeleteFunc(slices.Clone(trials), func(x trial.Trial) bool { return !keep(x) })
			d := writeTrials(t, "stack", synthetic.StackPlan, some, len(trials))
			out, page := text(t, d, TextOptions{}), string(render(t, d))
			if name == "one replicate" && !strings.Contains(out, "too few replicates to tell (+") {
				t.Error("one replicate: not said that it is too few")
			}
			for _, bad := range []string{"%!", "NaN", "ZgotmplZ"} {
				if strings.Contains(out+page, bad) {
					t.Errorf("%q in what is told", bad)
				}
			}
			if strings.Contains(out, "gather 64 against 1: +") && name != "one replicate" {
				t.Error("an effect is claimed that was not measured")
			}
		})
	}
	// A plan that names factors of which no trial tells.
	if x := analysis.Analyze(nil, analysis.Options{Plan: analysis.ReadPlan(json.RawMessage(synthetic.StackPlan))}); len(x.Experiments) != 0 {
		t.Error("effects of nothing")
	}
}
