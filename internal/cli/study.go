package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/study"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/tui"
)

// studyFlags are the flags of `study`.
type studyFlags struct {
	list, dryRun, json, quiet bool
	show                      string
	nics, cpus, messageSizes  []string
	set                       []string
	replicates                int
	window                    time.Duration
	profile                   time.Duration
	out, resume               string
	seed                      uint64
	hosts                     hostFlags
	guest                     guestFlags
}

func newStudy() *cobra.Command {
	var f studyFlags
	c := &cobra.Command{
		Use:   "study [PLAN | FILE.yaml]",
		Short: "Run a plan of experiments and report what they show",
		Long: `Run a plan: a built-in one by name (see --list), or a file of your own (see
doc/plan-format.md, and --show NAME for one to start from). Without a name the
plan "quick" runs, in under three minutes.

The rig is two network namespaces on this machine with veth NICs between them.
With --nic and --peer the plan runs on real NICs instead: this machine is the
server, and 'stackmeter serve' must run on the peer.

As root everything is measured. Without root the rig is built in a user
namespace; what that loses is said before the first trial and in the report.`,
		Example: `  stackmeter study
  stackmeter study affinity --message-size 1KiB,8KiB,64KiB --replicates 12
  stackmeter study nics --nics 1,2,3,4 --duration 2s --out nics-today
  stackmeter study my-plan.yaml --dry-run
  stackmeter study affinity --nic eth1,eth2 --peer 10.0.0.2:4777 --key-file stackmeter.key
  stackmeter study --resume stackmeter-affinity-20261122-161530`,
		Args: argCheck(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return runStudy(c, args, &f) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return study.Names(), cobra.ShellCompDirectiveDefault
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.list, "list", false, "list the built-in plans")
	fl.StringVar(&f.show, "show", "", "print the built-in plan `NAME` as YAML")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the trials, the settings that would be touched and the expected duration")
	fl.StringSliceVar(&f.nics, "nics", nil, "numbers of NICs, e.g. 1,2,4")
	fl.StringSliceVar(&f.cpus, "cpus", nil, "numbers of CPUs in use, e.g. 1,2")
	fl.StringSliceVar(&f.messageSizes, "message-size", nil, "application message sizes, e.g. 1KiB,64KiB")
	fl.StringArrayVar(&f.set, "set", nil, "other factors, e.g. --set mtu=9000 --set client=opposite (repeatable)")
	fl.IntVar(&f.replicates, "replicates", 0, "replicates of each cell (6 is the least for a 95 % interval)")
	fl.DurationVar(&f.window, "duration", 0, "length of each measured window, e.g. 2s")
	fl.DurationVar(&f.profile, "profile", 0, "profile each trial after its window, for this long (5s if not said), see `stackmeter profile --help`")
	fl.Lookup("profile").NoOptDefVal = study.DefaultProfile.String()
	fl.StringVar(&f.out, "out", "", "result `DIR` (default: stackmeter-PLAN-TIME)")
	fl.StringVar(&f.resume, "resume", "", "go on with the interrupted study in `DIR`")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of the randomised order (default: drawn, and recorded)")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	f.hosts.register(fl)
	f.guest.register(fl)
	jsonFlag(c, &f.json)
	return c
}

func runStudy(c *cobra.Command, args []string, f *studyFlags) error {
	out := c.OutOrStdout()
	switch {
	case f.list:
		return listPlans(out, f.json)
	case f.show != "":
		source, err := study.Source(f.show)
		if err != nil {
			return usage(err)
		}
		_, err = out.Write(source)
		return err
	case f.resume != "":
		if err := f.resumable(c, args); err != nil {
			return usage(err)
		}
	}
	cpus, err := f.cpusOfStudy()
	if err != nil {
		return err
	}
	s := &studyRun{flags: f, cpus: cpus, stdout: out, progress: tui.NewProgress(c.ErrOrStderr(), f.quiet)}
	if f.resume != "" {
		err = s.planFromResult(f.resume)
	} else {
		err = s.planFromArgs(args)
	}
	if err == nil {
		err = errors.Join(checkPlan(s.plan, cpus), checkOut(f.out), f.hosts.check())
	}
	if err != nil {
		return usage(errors.Join(err, s.closeWriter()))
	}
	if f.dryRun {
		return s.dryRun(out)
	}
	if f.wantsGuest() {
		if f.resume != "" {
			return usage(errors.Join(errors.New("--resume: the guest of a study is gone with it: begin a new one"), s.closeWriter()))
		}
		return s.inGuest(c, args)
	}
	if !f.hosts.real() && rig.Rootless() {
		if err := s.closeWriter(); err != nil { // it is locked: the program in the namespace opens it again
			return err
		}
		code, err := rig.EnterUserNamespace(c.Context())
		if err != nil {
			return usage(err)
		}
		return &exitError{code, errSaid}
	}
	return s.run(c.Context())
}

// resumable refuses what a resumed study can't change: its plan and its place.
func (f *studyFlags) resumable(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("--resume goes on with the plan in the directory: name no other")
	}
	for _, name := range []string{"nics", "cpus", "message-size", "set", "replicates", "duration", "profile", "out", "seed"} {
		if c.Flags().Changed(name) {
			return fmt.Errorf("--%s: --resume goes on with the plan, the seed and the directory as they are", name)
		}
	}
	return nil
}

// errSaid is an error whose text has been printed already.
var errSaid = errors.New("")

// studyRun is one study from plan to report.
type studyRun struct {
	flags    *studyFlags
	cpus     []int
	stdout   io.Writer
	progress *tui.Progress
	plan     *experiment.Plan
	seed     uint64
	notes    []string // what was left out for this machine's sake
	writer   *result.Writer
	earlier  map[result.Key]result.Progress
	begun    *result.Dir // what is resumed, else nil
}

func (s *studyRun) planFromArgs(args []string) error {
	name := "quick"
	if len(args) > 0 {
		name = args[0]
	}
	o, err := s.flags.overrides()
	if err != nil {
		return err
	}
	s.plan, s.notes, err = study.Load(name, study.Machine{CPUs: len(s.cpus), NICs: len(s.flags.hosts.nics), Clusters: clusters(s.cpus)}, o)
	s.seed = s.flags.seed
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if err == nil {
		s.flags.hosts.prefer(s.plan.Rig)
	}
	return err
}

func (s *studyRun) planFromResult(dir string) error {
	w, d, err := result.Resume(dir)
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	s.plan = &experiment.Plan{}
	if err := json.Unmarshal(d.Manifest.Plan.Resolved, s.plan); err != nil {
		return errors.Join(fmt.Errorf("%s: plan: %w", filepath.Join(dir, result.ManifestFile), err), w.Close())
	}
	if err := s.plan.Normalize(); err != nil {
		return errors.Join(fmt.Errorf("%s: plan: %w", filepath.Join(dir, result.ManifestFile), err), w.Close())
	}
	s.seed, s.earlier, s.writer, s.begun = d.Manifest.Seed, d.Progress(), w, d
	s.flags.hosts.prefer(d.Manifest.Rig)
	if kind := s.flags.hosts.kind(); d.Manifest.Rig != kind {
		return fmt.Errorf("--resume: %s was measured on the rig %q, this would be %q; name the same --rig, or --nic and --peer, as before", dir, d.Manifest.Rig, kind)
	}
	return nil
}

// create makes the result directory unless the study is resumed.
func (s *studyRun) create(kind string, warnings []trial.Warning) error {
	if s.writer != nil {
		return nil
	}
	dir := s.flags.out
	if dir == "" {
		dir = fmt.Sprintf("stackmeter-%s-%s", s.plan.Name, time.Now().Format("20060102-150405"))
	}
	resolved, err := json.Marshal(s.plan)
	if err != nil {
		return err
	}
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	m := result.Manifest{
		Plan: result.Plan{Name: s.plan.Name, Resolved: resolved}, Seed: s.seed,
		Versions:    result.Versions{Stackmeter: version(), Go: runtime.Version(), Kernel: kernel},
		CommandLine: os.Args, Started: time.Now(), Rig: kind, Accelerator: string(vm.InsideAccel()),
		PlannedTrials: len(experiment.Schedule(s.plan, s.seed)), Warnings: warnings,
	}
	s.writer, err = result.Create(dir, m)
	// A name of our own is taken where two studies begin in one second.
	for n := 2; s.flags.out == "" && errors.Is(err, result.ErrNotEmpty); n++ {
		s.writer, err = result.Create(fmt.Sprintf("%s-%d", dir, n), m)
	}
	if err != nil {
		return usage(fmt.Errorf("--out: %w", err))
	}
	return nil
}

// checkOut refuses a directory that [result.Create] would refuse, before
// anything is made.
func checkOut(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case dir == "" || errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--out: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("--out: %s: %w", dir, result.ErrNotEmpty)
	}
	return nil
}

// run measures and tells. It owns the writer from here on.
func (s *studyRun) run(ctx context.Context) error {
	release, err := s.alone(ctx)
	if err != nil {
		return errors.Join(err, s.closeWriter())
	}
	defer release()
	bench, err := s.flags.hosts.bench(ctx, s.plan)
	if err != nil {
		return errors.Join(err, s.closeWriter())
	}
	if s.begun != nil {
		if err := sameAsBegun(s.begun, bench); err != nil {
			return errors.Join(putBack(bench), usage(err), s.closeWriter())
		}
	}
	measureErr := s.measure(ctx, bench)
	restoreErr := putBack(bench)
	if s.writer == nil { // nothing was begun
		return errors.Join(restoreErr, measureErr)
	}
	if measureErr == nil && restoreErr == nil {
		measureErr = s.lookInside(ctx)
	}
	if ctx.Err() != nil && restoreErr == nil {
		measureErr = &exitError{exitFailed, fmt.Errorf("interrupted; settings are as before; go on with: stackmeter study --resume %s", s.writer.Path())}
	}
	closeErr := s.closeWriter()
	return errors.Join(restoreErr, s.tell(), measureErr, closeErr)
}

// alone waits for other studies on this machine: two at once would measure each
// other.
func (s *studyRun) alone(ctx context.Context) (release func(), err error) {
	dir, err := knob.Dir(host.Live())
	if err != nil {
		return nil, usage(err)
	}
	return knob.Exclusive(ctx, dir, func(pid int) {
		s.progress.Note("waiting for process %d, which is measuring on this machine", pid)
	})
}

// putBack ends the agents. What one of them could not put back, because it failed or was
// killed, is tried once more from its journal.
func putBack(b *experiment.Bench) error {
	err := b.Close()
	if err == nil {
		return nil
	}
	if failed := notRestored(recoverNow(context.Background(), false)); failed != nil {
		return &exitError{exitNotRestored, errors.Join(err, failed)}
	}
	return &exitError{exitFailed, fmt.Errorf("an agent failed; its settings were put back for it: %w", err)}
}

func (s *studyRun) closeWriter() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.Close()
}

func (s *studyRun) measure(ctx context.Context, bench *experiment.Bench) error {
	warnings := append(guestWarnings(), bench.Fit(s.plan)...)
	for _, n := range s.notes {
		warnings = append(warnings, trial.Warning{Code: "left-out", Text: n})
	}
	for _, w := range warnings {
		s.progress.Note("note: %s", w.Text)
	}
	if len(s.plan.Experiments) == 0 {
		return usage(fmt.Errorf("nothing of plan %s can be measured here", s.plan.Name))
	}
	if err := s.create(bench.Kind, warnings); err != nil {
		return err
	}
	if err := s.writer.SetHosts(result.Hosts{"server": bench.ServerHello.Host, "client": bench.ClientHello.Host}); err != nil {
		return err
	}
	if err := saveTopology(s.writer.Path()); err != nil {
		s.progress.Note("note: the report will not show how this machine is arranged: %v", err)
	}
	schedule := experiment.Schedule(s.plan, s.seed)
	s.progress.Note("plan %s: %d trials on rig %s, about %s; result in %s", s.plan.Name, len(schedule), bench.Kind, tui.Short(s.plan.Estimate(len(schedule))), s.writer.Path())
	profiles := newTrialProfiles(s.plan, bench)
	runner := &experiment.Runner{
		Plan: s.plan, Schedule: schedule, Bench: bench,
		Earlier: func(exp, cell string, replicate int) (bool, int) {
			p := s.earlier[result.Key{Experiment: exp, Cell: cell, Replicate: replicate}]
			return p.OK, p.Attempts
		},
		Record: func(t trial.Trial) error {
			if t.Status == trial.Failed {
				s.progress.Note("trial %s failed: %s", t.ID, t.Error)
			}
			err := profiles.keep(s.writer.Path(), &t)
			return errors.Join(err, s.writer.Append(&t))
		},
		Progress: func(p experiment.Progress) { s.progress.Step(p.Done, p.Total, p.Now, p.Left) },
	}
	defer s.progress.End()
	return runner.Run(ctx)
}
