package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/tui"
)

// profileFlags are the flags of `profile`.
type profileFlags struct {
	duration    time.Duration
	durationSet bool
	frequency   int
	passes      []string
	pids        []int
	with        string
	out         string
	json        bool
	quiet       bool
}

func newProfile() *cobra.Command {
	var f profileFlags
	c := &cobra.Command{
		Use:   "profile [-- COMMAND [ARGUMENT ...]]",
		Short: "Find where the stack spends its time, and why it does not scale (Tables 2, 3, 7 to 10)",
		Long: `Profile the network traffic that is on this machine now: CPU time by stage of the
stack and by function; interrupts, polls, allocations, copies and wake-ups per frame
and per MB; for each flow the CPUs that its bytes went between; the locks that were
waited for.

After -- may stand a command that makes the traffic: it is started, profiled once
there is traffic, and waited for. --with "run ..." does so with stackmeter's own load, and
--with PLAN runs a plan with each trial profiled, as study --profile.

Throughput and traces are never taken together: each pass has slices of its own,
among slices in which nothing is on, and what it costs is printed. Nothing of the
machine is changed and nothing stays loaded.

It takes root (or CAP_PERFMON and CAP_BPF). Without, the kernel's own counters
remain, and what is missing is said. Functions are put into stages by the rules of
doc/profile-stages.md.`,
		Example: `  stackmeter profile                         # ten seconds of what is there
  stackmeter profile --duration 60s --out DIR && go tool pprof -top DIR/profile.pb.gz
  stackmeter profile -- iperf3 -c 10.0.0.2 -t 15
  stackmeter profile --with affinity
  stackmeter profile --passes sample --json | jq '.sampling.samples'
  stackmeter profile show DIR
  stackmeter profile diff BEFORE AFTER`,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 0 && len(args) > 0 {
				return knownCommand(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	fl := c.Flags()
	fl.DurationVar(&f.duration, "duration", 10*time.Second, "of all passes together, at least 1s")
	fl.IntVar(&f.frequency, "frequency", defaultFrequency, "samples per second and CPU, 1 to 10000")
	fl.StringSliceVar(&f.passes, "passes", nil, "only these: "+strings.Join(profile.Passes(), ", "))
	fl.IntSliceVar(&f.pids, "pid", nil, "count bytes in the network namespaces of these processes only")
	fl.StringVar(&f.with, "with", "", "the load: \"run ...\" with its arguments, or a `PLAN`")
	fl.StringVar(&f.out, "out", "", "keep the profile in `DIR`: profile.json, .pb.gz, .folded and report.html")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	jsonFlag(c, &f.json)
	c.AddCommand(newProfileShow(), newProfileDiff())
	return c
}

// defaultFrequency is samples per second and CPU.
const defaultFrequency = 99

func (f *profileFlags) run(c *cobra.Command, args []string) error {
	f.durationSet = c.Flags().Changed("duration")
	if f.frequency < 1 || f.frequency > 10000 {
		return usage(fmt.Errorf("--frequency %d: want 1 to 10000", f.frequency))
	}
	o := profile.Options{Duration: f.duration, Frequency: f.frequency, Passes: f.passes, PIDs: f.pids}
	if err := o.Check(); err != nil {
		return usage(err)
	}
	if err := report.CheckProfileDir(f.out); err != nil {
		return usage(fmt.Errorf("--out: %w", err))
	}
	command, err := f.loadCommand(args)
	if err != nil {
		return usage(err)
	}
	if plan := f.plan(); plan != nil {
		return f.studyWithProfile(c.Context(), plan, c.OutOrStdout(), c.ErrOrStderr())
	}
	var p *profile.Profile
	bar := tui.NewProgress(c.ErrOrStderr(), f.quiet)
	if len(command) > 0 {
		p, err = f.profileCommand(c.Context(), o, command, c.ErrOrStderr(), bar)
	} else {
		p, err = profileWithProgress(c.Context(), o, bar)
	}
	if err != nil {
		return err
	}
	return tellProfile(c.OutOrStdout(), p, f.out, f.json)
}

func profileWithProgress(ctx context.Context, o profile.Options, bar *tui.Progress) (*profile.Profile, error) {
	o.Progress = func(done, total int, what string, left time.Duration) { bar.Step(done, total, what, left) }
	defer bar.End()
	p, err := profile.Run(ctx, o)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted; nothing is loaded any more")
	}
	return p, err
}

// tellProfile keeps a profile where a directory is named, and prints it.
func tellProfile(w io.Writer, p *profile.Profile, dir string, asJSON bool) error {
	page := ""
	if dir != "" {
		var err error
		if page, err = report.WriteProfile(dir, p); err != nil {
			return err
		}
	}
	if asJSON {
		return writeJSON(w, p)
	}
	return printProfile(w, p, page)
}

func printProfile(w io.Writer, p *profile.Profile, page string) error {
	if err := report.ProfileText(w, p, textOptions(w)); err != nil || page == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\nfigures: %s\n", page)
	return err
}

func newProfileShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show DIR|FILE.json",
		Short: "Print a profile that was kept",
		Example: `  stackmeter profile show DIR
  stackmeter profile show DIR --json | jq .passes`,
		Args: argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := report.ReadProfile(args[0])
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), p)
			}
			return printProfile(c.OutOrStdout(), p, "")
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
