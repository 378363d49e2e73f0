package advise

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	// reason, where it can't be had, or not within that time.
	Profiled(ctx context.Context, c experiment.Config, t experiment.Timing, within time.Duration) (rec trial.Trial, seen *Profiled, why, err error)
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
	// LinkBits are the speeds of the links of NICs that have one, in bits per second.
	LinkBits map[string]float64
	Spoilt   *Spoilt // the rig was spoilt on purpose; nil: it was not
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

// MinBudget is the least in which causes can be told and, on an undisturbed machine, one remedy measured.
const MinBudget = 15 * time.Second

// Numbers of trials.
const (
	asFoundTrials = 3
	proofRounds   = 3
	proofTrials   = 3 // in each round
)

// fewest is how many trials a cell needs to be compared: with five of each a gain can be certain to [severe].
const fewest = 5

// replicates of each cell of the full factorial, by the number of remedies in it.
var replicates = []int{0, 6, fewest, fewest}

// session is one advice under way.
type session struct {
	Options
	ctx      context.Context
	plan     experiment.Plan
	report   *Report
	deadline time.Time
	order    int
	each     time.Duration // what a trial took so far, at most
	reserve  int           // trials that are kept for the proof
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
	// Without a remedy that was measured there is little to prove.
	for s.reserve = s.proofTrials(); s.reserve > 0 && len(remedies) > 0 && s.left() < 2*fewest; {
		s.reserve -= proofTrials
	}
	survivors, err := s.screen(remedies)
	if err != nil {
		return err
	}
	if err := s.confirm(survivors); err != nil {
		return err
	}
	s.latencies()
	s.reserve = 0
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
	if s.Profile {
		if err := s.profile(); err != nil {
			return err
		}
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
	nics := s.Bench.NICs()
	for i := range nics {
		nics[i].LinkBits = s.LinkBits[nics[i].Name]
	}
	e.From(trials, nics)
	e.read()
	// Strangers that never rest can't be waited for.
	if e.StrangerShare < s.plan.StrangerLimit*float64(max(1, len(e.CPUs))) {
		s.attempts = s.plan.MaxAttempts
	}
	return nil
}

// profile runs the trial that is profiled, if that leaves the trials that a remedy takes.
func (s *session) profile() error {
	e := &s.report.AsFound
	within := time.Until(s.deadline) - (1+2*fewest)*s.each
	if within < 3*profileFor/2 {
		e.Warnings = append(e.Warnings, "not profiled: the budget has no time for it: "+raiseBudget)
		return nil
	}
	c, err := experiment.Levels{}.Config(s.plan.Defaults)
	if err != nil {
		return err
	}
	s.progress(asFoundTrials, asFoundTrials+1, "profile")
	t, seen, why, err := s.Bench.Profiled(s.ctx, c, s.Timing, within)
	if s.ctx.Err() != nil || errors.Is(err, agent.ErrGone) {
		return errors.Join(err, context.Cause(s.ctx))
	}
	if why = errors.Join(why, err); why != nil {
		e.Warnings = append(e.Warnings, "not profiled: "+why.Error())
	}
	if e.Profile = seen; seen != nil {
		for _, l := range seen.Limits {
			e.Warnings = append(e.Warnings, "profile: "+l)
		}
	}
	return s.keep(t, "as-found", nil, asFoundTrials+1)
}
