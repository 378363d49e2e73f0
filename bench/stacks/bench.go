package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/stackmeter/stackmeter/internal/probe/cpu"
)

// bench measures.
type bench struct {
	options
	probe *cpu.Probe
}

func open(ctx context.Context, o options) (*bench, error) {
	p, missing, err := cpu.Open(ctx, cpu.Options{})
	if err != nil {
		return nil, err
	}
	for _, m := range missing {
		fmt.Fprintf(os.Stderr, "stacks: CPU time is not exact: %v\n", m)
	}
	return &bench{options: o, probe: p}, nil
}

// sample is one run of one entry.
type sample struct {
	Case   string  `json:"case"`
	Stack  string  `json:"stack"`
	Device string  `json:"device"`
	Round  int     `json:"round"`
	Rate   float64 `json:"rate"` // bit/s or transactions/s
	CPUs   float64 `json:"cpus"` // not halted, less what strangers used
	Own    float64 `json:"own"`  // CPUs that the stack's own process used
	// Strangers is the share of all CPUs that other processes used.
	Strangers   float64 `json:"strangers"`
	Allocations float64 `json:"allocations"` // objects for each 10 MB or 1000 transactions
	Failed      string  `json:"failed,omitempty"`
}

func (s sample) entry() entry       { return entry{s.Stack, s.Device} }
func (s sample) perCPU() float64    { return s.Rate / s.CPUs }
func (s sample) perOwnCPU() float64 { return s.Rate / s.Own }

// all runs all entries of a case, round by round. A run that
// fails is kept with its reason.
func (b *bench) all(ctx context.Context, c contest) ([]sample, error) {
	var out []sample
	for round := range b.rounds {
		for _, i := range rand.Perm(len(c.entries)) {
			e := c.entries[i]
			s, err := b.one(ctx, c, e, round)
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			s.Case, s.Stack, s.Device, s.Round = c.name, e.Stack, e.Device, round
			if err != nil {
				s.Failed = err.Error()
				fmt.Fprintf(os.Stderr, "stacks: %s, %s, round %d: %v\n", c.name, e.title(), round, err)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// one is a run: two processes, their link, the ramp, the window.
func (b *bench) one(ctx context.Context, c contest, e entry, round int) (s sample, err error) {
	if c.kind == shards {
		return b.twoShards(ctx, c, e, round)
	}
	peerCPU, stackCPU, procs := -1, -1, fmt.Sprint("GOMAXPROCS=", runtime.NumCPU())
	if b.pin {
		peerCPU, stackCPU, procs = 0, 1, "GOMAXPROCS=1"
	}
	// The peer's loop holds its P for good, so that its commands need another.
	peer, err := start(ctx, "peer", peerCPU, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=2")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	stack, err := start(ctx, "stack", stackCPU, procs)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, stack.stop()) }()
	if !e.onTUN() {
		if err := lay(peer.cmd.Process.Pid, stack.cmd.Process.Pid, c.mtu, e); err != nil {
			return s, err
		}
	}
	o := order{entry: e, Kind: c.kind, Flows: c.flows, MTU: c.mtu, Peer: peer.cmd.Process.Pid, Profile: b.profileOf(c, e, round)}
	first, second := stack, peer
	if c.kind == send || c.kind == crr {
		// The peer listens; but on TUN only the stack's process makes the NIC, and its
		// address need not be there for listening to any.
		first, second = peer, stack
	}
	if err := first.tell(o); err != nil {
		return s, err
	}
	if err := second.tell(o); err != nil {
		return s, err
	}
	if err := pause(ctx, b.ramp); err != nil {
		return s, err
	}
	return b.watch(ctx, c, peer, stack)
}

// profileOf is the file for the profile of a run; "": none is wanted.
func (b *bench) profileOf(c contest, e entry, round int) string {
	if b.profile == "" {
		return ""
	}
	return filepath.Join(b.profile, fmt.Sprintf("%s-%s-%s-%d.pprof", c.name, e.Stack, e.Device, round))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// watch takes the window.
func (b *bench) watch(ctx context.Context, c contest, peer, stack *child) (s sample, err error) {
	var marks [2]cpu.Mark
	var done, own [2]counts
	counter := stack
	if c.kind == send || c.kind == rr || c.kind == crrOf {
		counter = peer // the end that takes in
	}
	for i := range marks {
		if i == 1 {
			if err := pause(ctx, b.window); err != nil {
				return s, err
			}
		}
		if own[i], err = stack.count(); err != nil {
			return s, err
		}
		if done[i] = own[i]; counter == peer {
			if done[i], err = peer.count(); err != nil {
				return s, err
			}
		}
		if marks[i], err = b.probe.Mark(); err != nil {
			return s, err
		}
	}
	use, _, err := cpu.Usage(marks[0], marks[1], groups(peer, stack))
	if err != nil {
		return s, err
	}
	strangers := use.Groups["stranger"] / use.WindowSeconds
	s.Strangers = strangers / float64(use.Online)
	s.CPUs = use.Utilization*float64(use.Online) - strangers
	s.Own = use.Groups["stack"] / use.WindowSeconds
	n, unit := float64(done[1].Transactions-done[0].Transactions), 1000.0
	if c.kind.stream() {
		n, unit = float64(done[1].Bytes-done[0].Bytes), 10e6
	}
	if n == 0 {
		return s, errors.New("nothing was carried in the window")
	}
	s.Allocations = float64(own[1].Allocations-own[0].Allocations) / n * unit
	if c.kind.stream() {
		n *= 8
	}
	s.Rate = n / use.WindowSeconds
	return s, nil
}

// groups tells the processes of a run from strangers.
func groups(peer, stack *child) cpu.Groups {
	return func(pid int, _ string, kthread bool) string {
		switch {
		case kthread:
			return "kernel"
		case pid == stack.cmd.Process.Pid:
			return "stack"
		case pid == peer.cmd.Process.Pid:
			return "peer"
		case pid == os.Getpid():
			return "tool"
		}
		return "stranger"
	}
}
