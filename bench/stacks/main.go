// Command stacks measures ustack beside gVisor's netstack and the kernel's own
// TCP, device by device. The peer is always the kernel's TCP in another network
// namespace, at the other end of a veth pair or a TUN device. As root:
//
//	go build -o S ./stacks && ./S -rounds 5 recv1 vnet-recv
//
// In each round of a case all stacks and devices take their turn, in an order
// drawn anew; ratios are taken round by round, so that they hold while the
// machine's speed drifts, and are told with their lowest and highest.
//
// CPU time is of the whole machine, not halted, by the exact probe of
// stackmeter: both ends and the softirqs, since on veth and TUN the sender's
// thread does the receiver's kernel work. What other processes used is told
// apart and taken off; rounds in which it was more than -strangers are counted
// under the table, since strangers also cost caches. 'own' is the share of the
// process that the stack runs in.
//
// The peer is one thread with epoll, so that it costs little and the same for
// all. The stacks are driven as a Go programmer does: a goroutine for each
// connection, Read and Write of package net's interfaces, 64 KiB at a time.
//
// Weaker than it looks: all runs on the CPUs that the scheduler likes (or, with
// -pin, the stack on one CPU and the peer on another), and with two CPUs a
// stack of many goroutines has the peer in its way. gVisor has congestion
// control, SACK and buffers set as ustack has them by default, and its endpoints are
// used as they come, but for TUN with vnet_hdr, for which it has none: that one
// is in gvisorvnet.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func main() {
	selfexec.Dispatch(map[string]func() int{"stack": stackMain, "peer": peerMain, "shards": shardsMain})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(usageError)):
		fmt.Fprintln(os.Stderr, "stacks:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "stacks:", err)
		os.Exit(1)
	}
}

// usageError is what the user can mend.
type usageError struct{ error }

// options are the flags.
type options struct {
	rounds    int
	window    time.Duration
	ramp      time.Duration
	strangers float64
	pin       bool
	only      string
	json      bool
	profile   string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("stacks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of all stacks and devices")
	flags.DurationVar(&o.window, "window", time.Second, "measured window")
	flags.DurationVar(&o.ramp, "ramp", 400*time.Millisecond, "from when all flows run to the window")
	flags.Float64Var(&o.strangers, "strangers", 0.02, "share of the CPUs that other processes may use before a round is flagged")
	flags.BoolVar(&o.pin, "pin", false, "stack on CPU 1, peer on CPU 0")
	flags.StringVar(&o.only, "only", "", "stacks and devices to run, with commas, such as ustack/tun,gvisor")
	flags.BoolVar(&o.json, "json", false, "one JSON object a run instead of tables")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of each stack's process to this folder")
	flags.Usage = func() {
		fmt.Fprint(stderr, "stacks [flags] CASE...\n\ncases ('all': each of them):\n")
		for _, c := range cases() {
			fmt.Fprintf(stderr, "  %-12s %s\n", c.name, c.what)
		}
		fmt.Fprintln(stderr, "\nflags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	chosen, err := choose(flags.Args(), o.only)
	if err != nil {
		return usageError{err}
	}
	if o.rounds < 1 {
		return usageError{errors.New("-rounds: want at least 1")}
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
	}
	b, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer b.probe.Close()
	for _, c := range chosen {
		got, err := b.all(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if !o.json {
			print(stdout, c, got, o)
			continue
		}
		enc := json.NewEncoder(stdout)
		for _, s := range got {
			if err := enc.Encode(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose finds the cases by name, and leaves in them what only names.
func choose(names []string, only string) ([]contest, error) {
	if len(names) == 0 {
		return nil, errors.New("which case? see -help; 'all' is each of them")
	}
	var out []contest
	for _, c := range cases() {
		for _, n := range names {
			if n == c.name || n == "all" {
				out = append(out, c.with(only))
				break
			}
		}
	}
	for _, n := range names {
		known := n == "all"
		for _, c := range cases() {
			known = known || c.name == n
		}
		if !known {
			return nil, fmt.Errorf("no case is called %q: see -help", n)
		}
	}
	for _, c := range out {
		if len(c.entries) == 0 {
			return nil, fmt.Errorf("-only %s leaves nothing of %s, which has %s", only, c.name, strings.Join(c.titles(), ", "))
		}
	}
	return out, nil
}
