package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// script is a bench that answers from a list of outcomes for each cell, the last for ever:
// "ok", "stranger" (disturbed) or "fail".
type script struct {
	outcomes map[string][]string // by message size
	ran      []string
	before   func()
}

func (s *script) Trial(_ context.Context, c Config, _ Timing) (trial.Trial, error) {
	if s.before != nil {
		s.before()
	}
	cell := fmt.Sprint(c.MessageBytes)
	s.ran = append(s.ran, cell)
	now := "ok"
	if list := s.outcomes[cell]; len(list) > 0 {
		now = list[0]
		if len(list) > 1 {
			s.outcomes[cell] = list[1:]
		}
	}
	rec := trial.Trial{Status: trial.OK, CPU: trial.CPU{Online: 2, WindowSeconds: 1}}
	switch now {
	case "stranger":
		rec.CPU.Groups = map[string]float64{"stranger": 0.2}
	case "fail":
		rec.Status, rec.Error = trial.Failed, "out of luck"
		return rec, errors.New(rec.Error)
	}
	return rec, nil
}

func simple(replicates, attempts int) *Plan {
	return &Plan{
		Name: "p", Defaults: Levels{}, Replicates: replicates, MaxAttempts: attempts, StrangerLimit: 0.05,
		Timing:      Timing{RampUp: time.Second, Window: time.Second, Interval: 100 * time.Millisecond},
		Experiments: []Experiment{{Name: "e", Factors: []FactorLevels{{"message_size", []string{"1024", "2048"}}}}},
	}
}

// drive runs a plan on a bench and returns the records in short: "cell/replicate/attempt status".
func drive(t *testing.T, p *Plan, s *script, earlier func(string, string, int) (bool, int)) (recs []trial.Trial, said []Progress, err error) {
	t.Helper()
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	r := Runner{
		Plan: p, Schedule: Schedule(p, 1), Bench: s, Earlier: earlier,
		Record:   func(rec trial.Trial) error { recs = append(recs, rec); return nil },
		Progress: func(p Progress) { said = append(said, p) },
	}
	err = r.Run(t.Context())
	return recs, said, err
}

func short(recs []trial.Trial) []string {
	var out []string
	for _, r := range recs {
		out = append(out, fmt.Sprintf("%s/%d/%d %s", r.Levels["message_size"], r.Replicate, r.Attempt, r.Status))
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRunnerRecordsEveryTrial(t *testing.T) {
	recs, said, err := drive(t, simple(2, 1), &script{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, short(recs), "1024/1/1 ok", "1024/2/1 ok", "2048/1/1 ok", "2048/2/1 ok")
	ids := map[string]bool{}
	for i, r := range recs {
		ids[r.ID] = true
		if r.Order != i+1 || r.Experiment != "e" {
			t.Errorf("trial %d: order %d of experiment %q", i+1, r.Order, r.Experiment)
		}
	}
	if len(ids) != 4 {
		t.Errorf("IDs are not unique: %v", ids)
	}
	if len(said) != 5 || said[0].Done != 0 || said[4].Done != 4 || said[4].Now != "" || said[0].Left != 4*2400*time.Millisecond {
		t.Errorf("progress %+v", said)
	}
}

// TestRunnerRepeatsDisturbedTrials wants both attempts on record, and the last to count,
// with its warning, where the machine never becomes quiet.
func TestRunnerRepeatsDisturbedTrials(t *testing.T) {
	recs, said, err := drive(t, simple(1, 3), &script{outcomes: map[string][]string{
		"1024": {"stranger", "ok"},
		"2048": {"stranger"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, short(recs),
		"1024/1/1 contaminated", "1024/1/2 ok",
		"2048/1/1 contaminated", "2048/1/2 contaminated", "2048/1/3 ok")
	for _, r := range recs {
		warned := slices.ContainsFunc(r.Warnings, func(w trial.Warning) bool { return w.Code == "contaminated" })
		if want := r.Levels["message_size"] == "2048" || r.Attempt == 1; warned != want {
			t.Errorf("trial %s: warned %v, want %v", r.ID, warned, want)
		}
	}
	if last := said[len(said)-1]; last.Repeats != 3 {
		t.Errorf("%d repeats told, want 3", last.Repeats)
	}
}

// TestRunnerGivesUpOnACell wants a cell that fails on every attempt left alone, the others
// measured, and the error to name it.
func TestRunnerGivesUpOnACell(t *testing.T) {
	recs, said, err := drive(t, simple(3, 2), &script{outcomes: map[string][]string{"2048": {"fail"}}}, nil)
	same(t, short(recs), "1024/1/1 ok", "1024/2/1 ok", "1024/3/1 ok", "2048/1/1 failed", "2048/1/2 failed")
	if err == nil || err.Error() != "e/message_size=2048: out of luck" {
		t.Errorf("error %v", err)
	}
	if last := said[len(said)-1]; last.Done != 6 {
		t.Errorf("done %d of 6", last.Done)
	}
	recs, _, err = drive(t, simple(2, 2), &script{outcomes: map[string][]string{"2048": {"fail", "ok", "fail", "ok"}}}, nil)
	same(t, short(recs), "1024/1/1 ok", "1024/2/1 ok", "2048/1/1 failed", "2048/1/2 ok", "2048/2/1 failed", "2048/2/2 ok")
	if err != nil {
		t.Errorf("a cell that failed once and was measured then: %v", err)
	}
}

// TestRunnerGoesOn wants only the rest measured, with attempts that number on.
func TestRunnerGoesOn(t *testing.T) {
	recs, _, err := drive(t, simple(2, 2), &script{}, func(exp, cell string, replicate int) (bool, int) {
		switch {
		case exp == "e" && cell == "message_size=1024":
			return true, 1
		case replicate == 1:
			return false, 2
		}
		return false, 0
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, short(recs), "2048/1/3 ok", "2048/2/1 ok")
}

func TestRunnerDropsTheTrialInFlight(t *testing.T) {
	p := simple(2, 1)
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &script{}
	s.before = func() {
		if len(s.ran) == 2 {
			cancel(errors.New("pressed"))
		}
	}
	n := 0
	r := Runner{
		Plan: p, Schedule: Schedule(p, 1), Bench: s, Progress: func(Progress) {},
		Record: func(trial.Trial) error { n++; return nil },
	}
	if err := r.Run(ctx); err == nil || err.Error() != "pressed" || n != 2 {
		t.Errorf("%d records and %v, want 2 and the cause", n, err)
	}
	full := errors.New("disk full")
	r.Record = func(trial.Trial) error { return full }
	s.before = nil
	if err := r.Run(t.Context()); !errors.Is(err, full) {
		t.Errorf("a record that can't be kept: %v", err)
	}
}
