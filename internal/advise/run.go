package advise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Bench is what measures.
type Bench interface {
	experiment.Measurer
	// Settings reads the settings of the server's NICs and host, and of the client's where they are ours.
	Settings(ctx context.Context, nics []string) (server, client []agent.Tunable, err error)
	// Profiled runs a trial that is profiled after its window; what was seen is nil, with the
	// reason, where it can't be had.
	Profiled(ctx context.Context, c experiment.Config, t experiment.Timing) (rec trial.Trial, seen *Profiled, why, err error)
	// Try puts settings in force without a load: an error says that they can't be had.
	Try(ctx context.Context, c experiment.Config) error
	// Latency measures requests and answers in a configuration.
	Latency(ctx context.Context, c experiment.Config, t experiment.Timing) (Percentiles, error)
	// NICs describes the server's NICs as far as they are known without trials.
	NICs() []NIC
}

// Options steer an advice.
type Options struct {
	Bench   Bench
	Place   Place
	Timing  experiment.Timing
	Budget  time.Duration // of wall time
	Seed    uint64
	Profile bool
	// Arrangement is what package topo says of the NICs.
	Arrangement []topo.Judgement
	Spoilt      *Spoilt // the rig was spoilt on purpose; nil: it was not
	// Record takes every trial, also the failed and the repeated.
	Record func(trial.Trial) error
	// Progress is told before each trial: what runs, and how far its stage is.
	Progress func(done, total int, what string)
}

// Spoilt is a way in which a rig was made bad.
type Spoilt struct {
	Kind      string
	Words     string
	Cause     string // the name of the cause that is planted
	Removable bool
	// Plant and Unplant switch it on and off.
	Plant, Unplant func(context.Context) error
}

// MinBudget is the least in which causes can be told and one remedy tried.
const MinBudget = 15 * time.Second

// Numbers of trials.
const (
	asFoundTrials = 3
	proofRounds   = 3
)

// replicates of each cell of the full factorial, by the number of remedies in it. Five of each is the
// least with which a gain can be certain to [severe].
var replicates = []int{0, 6, 5, 5}

// fewest is how many trials a cell needs for a gain that is expected: with four of each an interval of
// 95 % can exclude none.
const fewest = 4

// session is one advice under way.
type session struct {
	Options
	ctx      context.Context
	plan     experiment.Plan
	report   *Report
	deadline time.Time
	order    int
	each     time.Duration // what a trial took so far, at most
	attempts int
}

// mostFailures is how often a trial may fail before that counts.
const mostFailures = 3

// errBudget says that no trial fits into the budget any more.
var errBudget = errors.New("the budget is used up")

// Run gives an advice. On an error the report holds what was found so far.
func Run(ctx context.Context, o Options) (*Report, error) {
	began := time.Now()
	s := &session{Options: o, ctx: ctx, deadline: began.Add(o.Budget), attempts: 1}
	s.report = &Report{
		Schema: SchemaVersion, Started: began, Budget: o.Budget.Seconds(), NICs: o.Place.NICs,
		Base: o.Place.Base, Rules: RulesInWords(), Causes: []Cause{}, Verdicts: []Verdict{}, Advice: []Advice{}, Untested: []Untested{},
	}
	s.each = o.Timing.RampUp + o.Timing.Window + 400*time.Millisecond
	s.plan = Plan(o.Place.Base, o.Timing)
	err := s.run()
	s.report.Seconds = time.Since(began).Seconds()
	return s.report, err
}

// Plan is the plan of the trials: what all of them have in common.
func Plan(base experiment.Levels, t experiment.Timing) experiment.Plan {
	return experiment.Plan{
		Name: "advise", Title: "Causes and remedies", Defaults: maps.Clone(base), Timing: t,
		Replicates: 1, MaxAttempts: 2, StrangerLimit: 0.1,
		Experiments: []experiment.Experiment{{Name: "as-found", Title: "As found", Factors: []experiment.FactorLevels{{Name: "affinity", Levels: []string{base["affinity"]}}}}},
	}
}

func (s *session) run() error {
	err := s.asFound()
	if errors.Is(err, errBudget) {
		return fmt.Errorf("%w before what is there was measured: raise --budget", err)
	}
	if err != nil {
		return err
	}
	e := &s.report.AsFound
	causes, looked := Causes(e)
	s.report.Causes, s.report.Looked = append(s.report.Causes, causes...), looked
	remedies, left := Candidates(e, causes, s.Place)
	s.report.Untested = append(s.report.Untested, left...)
	if remedies, err = s.possible(remedies); err != nil {
		return err
	}
	survivors, err := s.screen(remedies)
	if err != nil {
		return err
	}
	if err := s.confirm(survivors); err != nil {
		return err
	}
	s.latencies()
	return s.prove()
}

// asFound measures what is there.
func (s *session) asFound() error {
	e := &s.report.AsFound
	var trials []trial.Trial
	for i := range asFoundTrials {
		t, err := s.trial("as-found", nil, i+1, asFoundTrials+1)
		if err != nil {
			return err
		}
		trials = append(trials, t)
	}
	c, err := experiment.Levels{}.Config(s.plan.Defaults)
	if err != nil {
		return err
	}
	if s.Profile {
		s.progress(asFoundTrials, asFoundTrials+1, "profile")
		t, seen, why, err := s.Bench.Profiled(s.ctx, c, s.Timing)
		if s.ctx.Err() != nil || errors.Is(err, agent.ErrGone) {
			return errors.Join(err, context.Cause(s.ctx))
		}
		if why = errors.Join(why, err); why != nil {
			e.Warnings = append(e.Warnings, "not profiled: "+why.Error())
		}
		if err := s.keep(t, "as-found", nil, asFoundTrials+1); err != nil {
			return err
		}
		e.Profile = seen
	}
	server, client, err := s.Bench.Settings(s.ctx, s.Place.NICs)
	if err != nil {
		return err
	}
	for _, t := range server {
		e.Server = append(e.Server, Setting{t})
	}
	for _, t := range client {
		e.Client = append(e.Client, Setting{t})
	}
	e.Arrangement = s.Arrangement
	e.From(trials, s.Bench.NICs())
	e.read()
	// Strangers that never rest can't be waited for.
	if e.StrangerShare < s.plan.StrangerLimit*float64(max(1, len(e.CPUs))) {
		s.attempts = s.plan.MaxAttempts
	}
	return nil
}

// trial runs one trial of a stage and gives the last attempt at it.
func (s *session) trial(stage string, cell experiment.Levels, replicate, total int) (trial.Trial, error) {
	return s.step(stage, cell, replicate, replicate-1, total)
}

func (s *session) step(stage string, cell experiment.Levels, replicate, done, total int) (last trial.Trial, err error) {
	if time.Now().Add(s.each).After(s.deadline) {
		return last, errBudget
	}
	s.progress(done, total, stage)
	s.order++
	plan := s.plan
	plan.MaxAttempts = s.attempts
	plan.Experiments = []experiment.Experiment{{Name: stage}}
	if cell == nil {
		cell = experiment.Levels{}
	}
	began := time.Now()
	r := experiment.Runner{
		Plan: &plan, Bench: s.Bench, Progress: func(experiment.Progress) {},
		Schedule: []experiment.Planned{{Cell: cell, Replicate: replicate, Order: s.order}},
		Earlier:  func(string, string, int) (bool, int) { return false, last.Attempt },
		Record: func(t trial.Trial) error {
			last = t
			s.report.Trials++
			return s.Record(t)
		},
	}
	// What fails once may be the machine's being busy: a flow that had no turn before the window.
	for try := 0; try == 0 || try < mostFailures && last.Status == trial.Failed && !errors.Is(err, agent.ErrGone); try++ {
		if err = r.Run(s.ctx); s.ctx.Err() != nil {
			return last, context.Cause(s.ctx)
		}
	}
	if took := time.Since(began) * 11 / 10; s.order == 1 {
		s.each = took
	} else if last.Attempt == 1 {
		s.each = max(s.each, took)
	}
	if err != nil && last.Status == trial.Failed && len(cell) > 0 && !errors.Is(err, agent.ErrGone) {
		err = nil // the cell can't be had here, which its verdict says
	}
	return last, err
}

// keep records a trial that no runner ran.
func (s *session) keep(t trial.Trial, stage string, cell experiment.Levels, replicate int) error {
	s.order++
	t.Experiment, t.Levels, t.Replicate, t.Order, t.Attempt = stage, cell, replicate, s.order, 1
	t.ID = fmt.Sprintf("%s.%d.1", stage, s.order)
	s.report.Trials++
	return s.Record(t)
}

func (s *session) progress(done, total int, what string) {
	if s.Progress != nil {
		s.Progress(done, total, what)
	}
}

// left is how many trials fit into what is left of the budget.
func (s *session) left() int { return int(time.Until(s.deadline) / s.each) }

// untested says of remedies that they were not tried.
func (s *session) untested(rs []Remedy, why string) {
	for _, r := range rs {
		s.report.Untested = append(s.report.Untested, Untested{r.Name, why})
	}
}

// possible leaves out the remedies whose settings can't be had here, each tried alone.
func (s *session) possible(remedies []Remedy) (out []Remedy, err error) {
	for i, r := range remedies {
		s.progress(i, len(remedies), "which remedies can be had")
		c, err := r.Levels.Config(s.plan.Defaults)
		if err == nil {
			err = s.Bench.Try(s.ctx, c)
		}
		if s.ctx.Err() != nil {
			return nil, context.Cause(s.ctx)
		}
		if err != nil {
			s.report.Verdicts = append(s.report.Verdicts, Verdict{Remedy: r, Word: Failed, Text: err.Error()})
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// screen tries all remedies in a screening design and gives those that are looked at again:
// the first that mends the first cause, whatever the screening shows, and those that stand out.
func (s *session) screen(remedies []Remedy) (survivors []Remedy, err error) {
	if len(remedies) == 0 {
		return nil, nil
	}
	first := ""
	if len(s.report.Causes) > 0 {
		first = s.report.Causes[0].Name
	}
	linked := func(r Remedy) bool { return slices.Contains(r.For, first) }
	// What mends the first cause is measured in any case: that needs its own trials.
	reserve := 2 * replicates[1]
	if s.Spoilt != nil {
		reserve += 3 * proofRounds
	}
	n := min(len(remedies), mostScreened)
	for n > 0 && len(design(n)) > s.left()-reserve {
		n = smaller(n)
	}
	s.untested(remedies[n:], "the budget has no trial for it: "+raiseBudget)
	if n == 0 {
		for _, r := range remedies {
			if linked(r) {
				s.report.Untested = slices.DeleteFunc(s.report.Untested, func(u Untested) bool { return u.What == r.Name })
				return []Remedy{r}, nil
			}
		}
		return nil, nil
	}
	remedies = remedies[:n]
	runs, failed, err := s.screening(remedies)
	if err != nil && !errors.Is(err, errBudget) {
		return nil, err
	}
	s.report.Screened = effects(remedies, runs, linked)
	for _, f := range failed {
		s.report.Notes = append(s.report.Notes, "screening: "+f)
	}
	byName := map[string]Remedy{}
	for _, r := range remedies {
		byName[r.Name] = r
		if linked(r) && len(survivors) == 0 {
			survivors = append(survivors, r)
		}
	}
	for _, x := range s.report.Screened {
		r := byName[x.Name]
		if len(survivors) < maxSurvivors && x.Survives && !slices.ContainsFunc(survivors, func(o Remedy) bool { return o.Name == r.Name }) {
			survivors = append(survivors, r)
		}
	}
	for _, x := range s.report.Screened {
		if !slices.ContainsFunc(survivors, func(o Remedy) bool { return o.Name == x.Name }) {
			s.report.Verdicts = append(s.report.Verdicts, screenedOnly(byName[x.Name], x))
		}
	}
	return survivors, nil
}

// smaller is the largest number of remedies that a smaller design takes.
func smaller(n int) int {
	size := 0
	for _, row := range plackettBurman {
		if k := len(row); k < n && len(design(k)) < len(design(n)) {
			size = k
		}
	}
	return size
}

func (s *session) screening(remedies []Remedy) (runs []screened, failed []string, err error) {
	rows := design(len(remedies))
	for i, at := range shuffled(len(rows), s.Seed) {
		row := rows[at]
		var with []Remedy
		for j, r := range remedies {
			if row[j] {
				with = append(with, r)
			}
		}
		t, err := s.step("screening", change(with), 1, i, len(rows))
		if err != nil {
			return runs, failed, err
		}
		if t.Status == trial.Failed {
			failed = append(failed, t.Error)
			continue
		}
		runs = append(runs, screened{row, t})
	}
	return runs, failed, nil
}

// confirm measures every combination of the survivors, interleaved, and chooses.
func (s *session) confirm(survivors []Remedy) error {
	if s.Spoilt != nil { // the proof's trials are not to be used up
		s.deadline = s.deadline.Add(-time.Duration(3*proofRounds) * s.each)
		defer func() { s.deadline = s.deadline.Add(time.Duration(3*proofRounds) * s.each) }()
	}
	for len(survivors) > 1 && (1<<len(survivors))*replicates[len(survivors)] > s.left() {
		s.untested(survivors[len(survivors)-1:], "it stood out in the screening, but the budget has no trials to confirm it: "+raiseBudget)
		survivors = survivors[:len(survivors)-1]
	}
	if len(survivors) == 1 && s.left() < 2*fewest {
		s.untested(survivors, "the budget has no trials to measure it: "+raiseBudget)
		survivors = nil
	}
	if len(survivors) == 0 {
		return nil
	}
	k := 1 << len(survivors)
	total := k * replicates[len(survivors)]
	got := cells{}
trials:
	for rep := range replicates[len(survivors)] {
		for i, at := range shuffled(k, s.Seed+uint64(rep)+1) {
			var with []Remedy
			for j, r := range survivors {
				if at&(1<<j) != 0 {
					with = append(with, r)
				}
			}
			t, err := s.step("factorial", change(with), rep+1, rep*k+i, total)
			if errors.Is(err, errBudget) {
				s.report.Notes = append(s.report.Notes, fmt.Sprintf("the budget ended after %d of %d trials of the factorial", rep*k+i, total))
				break trials
			}
			if err != nil {
				return err
			}
			got[at] = append(got[at], t)
		}
	}
	if err := s.repeat(survivors, got); err != nil {
		return err
	}
	first := ""
	if len(s.report.Causes) > 0 {
		first = s.report.Causes[0].Name
	}
	advice, taken := choose(survivors, got, first)
	s.report.Advice = append(s.report.Advice, advice...)
	s.report.Verdicts = append(verdicts(survivors, got, taken), s.report.Verdicts...)
	if len(advice) > 1 {
		s.report.Together = got.gains(0, taken)
	}
	return nil
}

// repeat adds trials of a remedy alone and as found, where they seem to differ by enough and the
// interval is too wide to tell: a disturbed machine needs more of them.
func (s *session) repeat(survivors []Remedy, got cells) error {
	for i, r := range survivors {
		for round := range repeats {
			if g := got.gains(0, 1<<i); g == nil || g.gained(r.expected()) || g.lost() || g.worth() < worthwhile {
				break
			}
			if round == 0 {
				s.report.Notes = append(s.report.Notes, r.Name+": trials were added, as the interval was too wide to tell")
			}
			for rep := range replicates[1] {
				for j, at := range []int{0, 1 << i} {
					var with []Remedy
					if at > 0 {
						with = []Remedy{r}
					}
					t, err := s.step("factorial", change(with), len(got[at])+1, 2*rep+j, 2*replicates[1])
					if errors.Is(err, errBudget) {
						return nil
					}
					if err != nil {
						return err
					}
					got[at] = append(got[at], t)
				}
			}
		}
	}
	return nil
}

// repeats is how often trials are added at most.
const repeats = 2

// latencies measures what each advice costs, as far as the budget goes.
func (s *session) latencies() {
	cell := experiment.Levels{}
	var before *Percentiles
	for i := range s.report.Advice {
		a := &s.report.Advice[i]
		if s.left() < 3 {
			s.report.Notes = append(s.report.Notes, "the budget had no time for the latency of "+a.Name)
			continue
		}
		measure := func() *Percentiles {
			c, err := cell.Config(s.plan.Defaults)
			if err == nil {
				var p Percentiles
				s.progress(i, len(s.report.Advice), "latency")
				if p, err = s.Bench.Latency(s.ctx, c, s.Timing); err == nil {
					return &p
				}
			}
			s.report.Notes = append(s.report.Notes, "latency: "+err.Error())
			return nil
		}
		if before == nil {
			before = measure()
		}
		maps.Copy(cell, a.Levels)
		after := measure()
		if before != nil && after != nil {
			a.Latency = &Latency{*before, *after}
		}
		before = after
	}
}
