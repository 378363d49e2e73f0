// Package cli is stackmeter's command line: every verb parses its flags, calls
// the packages below and prints. Results go to standard output, progress and
// errors to standard error.
//
// Exit codes: 0 done; 1 something failed or could not be measured; 2 the request
// can't be carried out as given, and nothing was changed; 3 a setting of the
// machine could not be put back.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/rig/spoil"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotRestored = 3
)

// Roles are the roles in which stackmeter starts itself; a test binary that
// drives it must dispatch them too.
func Roles() map[string]func() int {
	roles := map[string]func() int{load.WorkerRole: engines.Worker, agent.Role: agent.Main, spoil.Role: spoil.Busy}
	maps.Copy(roles, wire.Roles())
	maps.Copy(roles, vm.Roles())
	return roles
}

// Main is the program.
func Main() int {
	selfexec.Dispatch(Roles())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Run is the program without its process: arguments in, exit code out.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var coded *exitError
	if errors.As(err, &coded) {
		code = coded.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "stackmeter: %v\n", err)
	}
	return code
}

// exitError gives an error an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as one that the user can mend; nothing was changed.
func usage(err error) error { return &exitError{exitUsage, err} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "stackmeter",
		Short: "Measure how the TCP/IP stack of a machine scales over CPUs and NICs",
		Long: `stackmeter measures how the TCP/IP stack of a Linux machine scales over CPUs and
NICs, what IRQ and process affinity change, and what it costs in CPU time. It
repeats, with one command, the experiments of Anand & Hartner, "TCPIP Network
Stack Performance in Linux Kernel 2.4 and 2.5" (OLS 2002).

The default rig is two network namespaces with veth NICs between them: it needs
no hardware and touches nothing of the machine's own network.`,
		Example: `  stackmeter study                 # three minutes, all questions in short
  stackmeter study affinity        # Table 1 of the paper, on this machine
  stackmeter study --list          # what else there is
  stackmeter run tcp_rr            # make load and measure it, here or between hosts
  stackmeter cpucheck              # can this machine's CPU accounting be trusted?`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args:                       knownCommand,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
		// Whatever an earlier run was killed in the middle of is put back first.
		PersistentPreRunE: recoverFirst,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(newStudy(), newRun(), newReport(), newExport(), newCPUCheck(), newCopy(), newProfile(), newTopo(), newRestore(), newTune(), newAdvise(), newServe(), newStack(), newVM(), newKeys(), newVersion())
	return root
}

// knownCommand refuses what is no command.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q; see `%s --help`", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usage(err)
}

// argCheck is cobra's argument check with our exit code.
func argCheck(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage(fmt.Errorf("%w; see `%s --help`", err, c.CommandPath()))
		}
		return nil
	}
}
