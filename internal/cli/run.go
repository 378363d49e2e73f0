package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/tui"
	"github.com/stackmeter/stackmeter/meter"
)

func newRun() *cobra.Command {
	f := new(runFlags)
	c := &cobra.Command{
		Use:   "run [WORKLOAD]",
		Short: "Make network load and measure it, as netperf, iperf3 and neper do",
		Long: `Make flows between senders and receivers, start them together, measure one window that
all of them share, and print what was carried, how quickly answers came and what it cost
in CPU time on each machine.

WORKLOAD is TRANSPORT_PATTERN, in any case: tcp_stream (the default), udp_rr, TCP_CRR ...
Transports: tcp, udp, unix, vsock, mptcp. Patterns: stream (senders to receivers), maerts
(the same, but the receivers connect), bidir (both ways), rr (request and response), crr
(connect, request, response; not udp).

Without --sender and --receiver both ends are on a rig of network namespaces with veth
NICs, made for the run: no hardware, nothing of the machine's own network is touched, and
no root where user namespaces are allowed. With one of the two, this machine is the other
end.`,
		Example: `  stackmeter run                                    # tcp_stream on the built-in rig
  stackmeter run tcp_rr --duration 5                # latency of one flow
  stackmeter run tcp_rr -P 256 --nodelay --json     # 256 flows, polled
  stackmeter run tcp_stream --receiver 10.0.0.2 -P 4 --output today.json
  stackmeter run udp_stream --segment-size 1448 --gro --sender 10.0.0.1:eth1 --receiver 10.0.0.2:eth1
  stackmeter run tcp_rr --rate 2000 --confidence 95 --within 5
  stackmeter run tcp_stream --engine ustack --technique gather=1
  stackmeter run tcp_bidir --inventory lab.yaml --mesh --wait 1m`,
		Args: argCheck(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return meter.Workloads(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f.register(c)
	c.SetHelpFunc(f.help)
	for flag, words := range map[string][]string{
		"format": append([]string{textFormat}, runFormatNames()...), "model": {"auto", "thread", "process", "epoll"}, "engine": {"kernel", "ustack", "null"},
		"stack-ends": {"server", "client", "both"}, "stack-device": load.StackDevices,
		"send-method": {"copy", "more", "sendfile", "zerocopy"}, "receive-method": {"copy", "truncate", "zerocopy"}, "receive": {"message", "any"},
	} {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

func (f *runFlags) run(c *cobra.Command, args []string) error {
	out, err := f.target()
	if err != nil {
		return usage(err)
	}
	config, err := f.parse(args)
	if err != nil {
		return usage(err)
	}
	onRig := config.RigPairs > 0
	if onRig && config.Congestion != "" {
		if err := checkCongestion(config.Congestion); err != nil {
			return usage(fmt.Errorf("--congestion: %w", err))
		}
	}
	if onRig && rig.Rootless() {
		code, err := rig.EnterUserNamespace(c.Context())
		if err != nil {
			return usage(err)
		}
		return &exitError{code, errSaid}
	}
	live := tui.NewLive(c.ErrOrStderr(), f.quiet, config)
	defer live.End()
	if onRig {
		release, err := measureAlone(c.Context(), live)
		if err != nil {
			return err
		}
		defer release()
	}
	config.Watch = live.Event
	r, err := meter.Run(c.Context(), config)
	live.End()
	switch {
	case err == nil:
	case errors.Is(err, meter.ErrConfig):
		return usage(f.asFlags(err))
	case onRig && errors.Is(err, fs.ErrPermission):
		return usage(err)
	case c.Context().Err() != nil && r == nil:
		err = errors.New("interrupted before anything was measured")
	case c.Context().Err() != nil:
		err = errors.New("interrupted: the result is of what was measured so far")
	}
	if r == nil {
		return err
	}
	return errors.Join(out.tell(c.OutOrStdout(), r), err)
}

// measureAlone waits for others who measure on this machine: two at once would measure each
// other.
func measureAlone(ctx context.Context, live *tui.Live) (release func(), err error) {
	dir, err := knob.Dir(host.Live())
	if err != nil {
		return nil, usage(err)
	}
	release, err = knob.Exclusive(ctx, dir, func(pid int) {
		live.Event(meter.Event{Phase: fmt.Sprintf("waiting for process %d, which is measuring on this machine", pid)})
	})
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted before anything was measured")
	}
	return release, err
}
