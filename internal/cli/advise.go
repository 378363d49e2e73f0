package cli

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/tui"
)

// adviseFlags are the flags of `advise`.
type adviseFlags struct {
	hosts              hostFlags
	budget             time.Duration
	spoil, out         string
	apply, json, jumbo bool
	quiet              bool
	seed               uint64
}

func newAdvise() *cobra.Command {
	var f adviseFlags
	c := &cobra.Command{
		Use:   "advise",
		Short: "Find what holds the stack back, try what mends it, and say what gained",
		Long: `Measure as found, name what holds the machine back with the figures that say so, try
the remedies that this machine can have as an experiment, and report the few that
gained, each with its gain, its interval, its cost in latency and the command that
applies it; and those that did nothing, and what was not tried.

Remedies are screened in few trials, in which half of them are there at a time; those
that stand out, and the one for the first cause, are then measured in every
combination, interleaved, against as found. It stops as soon as the answer is clear, and
in any case within --budget. How causes are named: doc/advise.md.

The rig is two network namespaces on this machine; --spoil makes it bad in one of six
ways, for you to see whether advise finds it. With --nic and --peer it looks at real
NICs: this machine is the server, and 'stackmeter serve' must run on the peer. Nothing is
left changed unless you say --apply.`,
		Example: `  stackmeter advise
  stackmeter advise --spoil affinity
  stackmeter advise --nic eth1,eth2 --peer 10.0.0.2 --key-file stackmeter.key
  stackmeter advise --nic eth1 --peer 10.0.0.2 --budget 30m --apply
  stackmeter advise --json | jq '.causes[0], .advice[].commands'`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.DurationVar(&f.budget, "budget", 10*time.Minute, "the longest that it may take; it says what it had no time for")
	fl.StringVar(&f.spoil, "spoil", "", "make the built-in rig bad first: `KIND` is one of "+strings.Join(spoilNames(), ", "))
	fl.BoolVar(&f.apply, "apply", false, "apply what gained to this machine (real NICs only); `stackmeter tune restore` puts it back")
	fl.BoolVar(&f.jumbo, "jumbo", false, "also try a larger MTU, 1500 or 9000: all of the link must have it")
	fl.StringVar(&f.out, "out", "", "keep the trials and the report in `DIR`, as a study does (default: stackmeter-advise-TIME)")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of the randomised order (default: drawn, and recorded)")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	f.hosts.register(fl)
	jsonFlag(c, &f.json)
	_ = c.RegisterFlagCompletionFunc("spoil", cobra.FixedCompletions(spoilNames(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// check refuses what can't be meant, before anything is made.
func (f *adviseFlags) check() error {
	switch {
	case f.budget < advise.MinBudget || f.budget > 24*time.Hour:
		return fmt.Errorf("--budget %v: want %v to 24h", f.budget, advise.MinBudget)
	case f.spoil != "" && !slices.Contains(spoilNames(), f.spoil):
		return fmt.Errorf("--spoil %q: want one of %s", f.spoil, strings.Join(spoilNames(), ", "))
	case f.hosts.rig != "" && f.hosts.rig != experiment.KindVeth:
		return fmt.Errorf("--rig %s: advise knows what is right on the rig %s alone", f.hosts.rig, experiment.KindVeth)
	case f.spoil != "" && f.hosts.real():
		return errors.New("--spoil: real hosts are not made bad; leave out --nic and --peer")
	case f.apply && !f.hosts.real():
		return errors.New("--apply: on the built-in rig there is nothing left to apply to when it ends; name real NICs with --nic and --peer")
	case f.jumbo && !f.hosts.real():
		return errors.New("--jumbo: the built-in rig stands for a wire of 1500 bytes; name real NICs with --nic and --peer")
	}
	return errors.Join(f.hosts.check(), checkOut(f.out))
}

func (f *adviseFlags) run(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return usage(err)
	}
	if f.spoil != "" && rig.Rootless() {
		return usage(fmt.Errorf("--spoil %s: the rig can be made bad by root only", f.spoil))
	}
	if !f.hosts.real() && rig.Rootless() {
		code, err := rig.EnterUserNamespace(c.Context())
		if err != nil {
			return usage(err)
		}
		return &exitError{code, errSaid}
	}
	if f.seed == 0 {
		f.seed = rand.Uint64()
	}
	cpus, err := usableCPUs()
	if err != nil {
		return err
	}
	a := &adviceRun{flags: f, cpus: cpus, stdout: c.OutOrStdout(), progress: tui.NewProgress(c.ErrOrStderr(), f.quiet)}
	return a.run(c.Context())
}
