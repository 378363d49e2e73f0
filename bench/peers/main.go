// Command peers measures stackmeter beside netperf, neper and iperf3, those of
// them that are in PATH (or in -path), on one veth pair, on the comparisons of
// the table in contests.go. Tools take turns, in an order drawn anew each round,
// and the ratios to the best of the others are taken round by round, so that they
// hold while the machine's speed drifts. As root:
//
//	go run ./peers -path /tmp/peers -rounds 9 tcp_stream tcp_rr/16
//
// All tools are measured in the same way, from outside, over one window in the
// middle of their runs: what was carried by the kernel's own counters in the
// server's namespace (outside.go says which), and CPU time by the exact probe.
// CPU time is of the whole machine, not halted, less what processes outside of
// the two namespaces used; a window in which these used more than -strangers is
// measured again, three more times at most, and the least disturbed one counts.
//
// Latencies can only be had from the tools: they are of each tool's own
// histogram over its own run, of several processes the median of theirs. The
// rate that a tool itself reports, over its own run, ramps included, stands
// beside the counted one as a check on both.
//
// The figures depend on placement more than on the tool. Every contest says
// where its tools run: 'pinned', all clients on one CPU and all servers on the
// other, or 'free', on either as the scheduler likes.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/stackmeter/stackmeter/meter"
)

func main() {
	meter.Dispatch()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := func() error { return run(ctx) }
	if len(os.Args) == 3 && os.Args[1] == "meter" {
		work = func() error { return runMeter(os.Args[2]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 9, "rounds of all tools")
	window := flag.Duration("window", time.Second, "measured window")
	path := flag.String("path", "", "folders with the programs, before PATH")
	tso := flag.Bool("tso", true, "TSO and GSO on both NICs")
	strangers := flag.Float64("strangers", 0.02, "share of the CPUs that other processes may use in a window")
	list := flag.Bool("list", false, "print the comparisons with every command, and run nothing")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "peers [flags] [prefix of a comparison's name ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *path != "" {
		os.Setenv("PATH", *path+":"+os.Getenv("PATH"))
	}
	chosen, err := choose(flag.Args())
	if err != nil {
		return err
	}
	if *list {
		for _, c := range chosen {
			fmt.Println(c.name())
			for _, e := range c.entries() {
				fmt.Printf("  %s\n    server: %s\n    client: %s\n", e.title(), e.server, e.client)
			}
		}
		return nil
	}
	r, err := newRig(ctx, *tso)
	if err != nil {
		return err
	}
	defer r.close()
	r.strangers = *strangers
	for _, c := range chosen {
		entries := c.entries()
		if len(entries) == 0 {
			fmt.Printf("%s: no tool for it is installed\n\n", c.name())
			continue
		}
		got := make([][]sample, len(entries))
		for range *rounds {
			for _, i := range rand.Perm(len(entries)) {
				s, err := r.quietest(ctx, c, entries[i], *window)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.name(), entries[i].title(), err)
				}
				got[i] = append(got[i], s)
			}
		}
		print(os.Stdout, c, entries, got)
	}
	return nil
}

// choose are the contests whose names begin with one of the prefixes; all, if
// there is none.
func choose(prefixes []string) ([]contest, error) {
	if len(prefixes) == 0 {
		return contests, nil
	}
	var out []contest
	for _, p := range prefixes {
		before := len(out)
		for _, c := range contests {
			if c.name() == p || strings.HasPrefix(c.name(), p+"/") {
				out = append(out, c)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("no comparison is called %q or begins so: see -list", p)
		}
	}
	return out, nil
}
