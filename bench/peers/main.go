// Command peers measures stackmeter's load beside netperf, neper's tcp_stream and
// iperf3, those of them that are in PATH (or in -path), on one veth pair. All
// tools are measured the same way, from outside: bytes by the receiving NIC's own
// counter, CPU time by the exact probe, over the same window in the middle of each
// run; tools take turns, in an order drawn anew each round. As root:
//
//	go run ./peers -sizes 1024,4096,16384,65536 -rounds 9
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func main() {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: engines.Worker, agent.Role: agent.Main})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// sample is one tool's run.
type sample struct{ gbps, perCPU float64 }

func run(ctx context.Context) error {
	sizes := flag.String("sizes", "1024,4096,16384,65536", "message sizes in bytes")
	rounds := flag.Int("rounds", 9, "rounds of all tools")
	window := flag.Duration("window", time.Second, "measured window")
	path := flag.String("path", "", "folders with the peers' programs, before PATH")
	tso := flag.Bool("tso", true, "TSO and GSO on the sender's NIC")
	only := flag.String("tools", "", "measure only these (comma-separated; default: all that are installed)")
	both := flag.Bool("same", false, "client and server on one CPU")
	flag.Parse()
	if *path != "" {
		os.Setenv("PATH", *path+":"+os.Getenv("PATH"))
	}
	r, err := newRig(ctx, *tso, *both)
	if err != nil {
		return err
	}
	defer r.close()
	tools := slices.DeleteFunc(r.tools(), func(t tool) bool {
		return *only != "" && !slices.Contains(strings.Split(*only, ","), t.name)
	})
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.name
	}
	fmt.Printf("tools: %s; window %v; TSO %v; client on CPU %d, server on CPU %d\n", strings.Join(names, ", "), *window, *tso, r.clientCPU, r.serverCPU)
	for size := range strings.SplitSeq(*sizes, ",") {
		bytes, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		got := map[string][]sample{}
		for range *rounds {
			for _, i := range rand.Perm(len(tools)) {
				s, err := r.measure(ctx, tools[i], bytes, *window)
				if err != nil {
					return fmt.Errorf("%s at %d bytes: %w", tools[i].name, bytes, err)
				}
				got[tools[i].name] = append(got[tools[i].name], s)
			}
		}
		print(bytes, names, got)
	}
	return nil
}

func print(bytes int, names []string, got map[string][]sample) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d bytes\tGb/s\tper CPU: median\tlowest\thighest\tstackmeter/this, median of rounds\tlowest\thighest\t\n", bytes)
	for _, name := range names {
		var gbps, per, ratio []float64
		for i, s := range got[name] {
			gbps, per = append(gbps, s.gbps), append(per, s.perCPU)
			ratio = append(ratio, got[names[0]][i].perCPU/s.perCPU)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t\n", name, median(gbps), median(per), slices.Min(per), slices.Max(per), median(ratio), slices.Min(ratio), slices.Max(ratio))
	}
	w.Flush()
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	sort.Float64s(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// measure runs one tool and takes the middle of its run.
func (r *bench) measure(ctx context.Context, t tool, bytes int, window time.Duration) (s sample, err error) {
	stop, err := t.start(ctx, bytes, window)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	time.Sleep(400 * time.Millisecond)
	var marks [2]cpu.Mark
	var rx [2]uint64
	for i := range marks {
		if i == 1 {
			time.Sleep(window)
		}
		if rx[i], err = r.received(); err != nil {
			return s, err
		}
		if marks[i], err = r.probe.Mark(); err != nil {
			return s, err
		}
	}
	use, _, err := cpu.Usage(marks[0], marks[1], nil)
	if err != nil {
		return s, err
	}
	s.gbps = float64(rx[1]-rx[0]) * 8 / use.WindowSeconds / 1e9
	if s.gbps < 0.01 {
		return s, errors.New("nothing was carried in the window")
	}
	s.perCPU = s.gbps / (use.Utilization * float64(use.Online))
	return s, nil
}
