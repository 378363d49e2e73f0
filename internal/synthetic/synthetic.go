// Package synthetic makes up trials from a seeded model, with effects that are
// known because they were put in. It serves tests of analysis, reports and
// exports, including the ugly cases that no quiet machine gives on demand.
// Nothing outside tests imports it, and every record that it makes says
// "synthetic" where a real one names its source of CPU time.
package synthetic

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Options choose what goes wrong.
type Options struct {
	Seed       uint64
	Replicates int     // 0: 6
	Noise      float64 // relative standard deviation; 0: 0.01
	Sizes      []int   // message sizes of the affinity and smp experiments; nil: 8192
	Bimodal    string  // affinity level whose cells fall into two modes
	Missing    bool    // leave some trials out, as an interrupted study does
	Bad        bool    // add contaminated and failed trials
	NoGroups   bool    // CPU time by tick, not attributed: no server figures
}

// Effects on throughput scaled to CPU, over affinity none and unpinned scatter.
var Effects = map[string]float64{
	"none": 0, "irq": 0.07, "process": 0.034, "both": 1.2, "opposite": 0.11, "as-found": 0.7,
}

// SMP are the factors of throughput scaled to CPU at 1, 2 and 4 CPUs, NIC the
// totals of throughput over NICs in bits per second.
var (
	SMP = map[string]float64{"1": 1, "2": 1.55, "4": 2.1}
	NIC = map[string]float64{"1": 6.04e9, "2": 6.99e9, "4": 7.2e9}
)

// Trials makes the trials of four experiments: smp, affinity, nics, mtu.
func Trials(o Options) []trial.Trial {
	if o.Replicates == 0 {
		o.Replicates = 6
	}
	if o.Noise == 0 {
		o.Noise = 0.01
	}
	if o.Sizes == nil {
		o.Sizes = []int{8192}
	}
	g := &generator{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x73796e)), clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	for rep := 1; rep <= o.Replicates; rep++ {
		for _, s := range o.Sizes {
			size := fmt.Sprint(s)
			for cpus, f := range ordered(SMP, "1", "2", "4") {
				g.add("smp", rep, 5e9*f, map[string]string{"cpus": cpus, "message_size": size, "unpinned": "as-found"})
			}
		}
	}
	for rep := 1; rep <= o.Replicates; rep++ {
		for _, s := range o.Sizes {
			size := fmt.Sprint(s)
			base := 3e9 * math.Sqrt(float64(s)/8192)
			for a, e := range ordered(Effects, "none", "irq", "process", "both", "opposite", "as-found") {
				l := map[string]string{"affinity": a, "unpinned": "scatter", "message_size": size}
				if a == "as-found" {
					l["affinity"], l["unpinned"] = "none", a
				}
				g.add("affinity", rep, base*(1+e), l)
			}
		}
	}
	for rep := 1; rep <= o.Replicates; rep++ {
		for n, bps := range ordered(NIC, "1", "2", "4") {
			g.add("nics", rep, bps, map[string]string{"nics": n, "unpinned": "as-found"})
		}
		for _, m := range []struct {
			mtu, gro string
			scaled   float64
		}{{"1500", "off", 3e9}, {"1500", "on", 7e9}, {"9000", "off", 9e9}, {"9000", "on", 9.1e9}} {
			g.add("mtu", rep, m.scaled, map[string]string{"mtu": m.mtu, "gro": m.gro})
		}
	}
	return g.trials
}

func ordered(m map[string]float64, keys ...string) func(func(string, float64) bool) {
	return func(yield func(string, float64) bool) {
		for _, k := range keys {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

type generator struct {
	Options
	rng    *rand.Rand
	clock  time.Time
	trials []trial.Trial
}

// add makes one trial; scaled is the expected throughput scaled to the server's
// CPU time (for nics: the throughput).
func (g *generator) add(experiment string, rep int, scaled float64, levels map[string]string) {
	if g.Missing && rep == g.Replicates && g.rng.IntN(3) == 0 {
		return
	}
	attempt := 1
	if g.Bad && g.rng.IntN(12) == 0 {
		t := g.trial(experiment, rep, attempt, scaled*0.6, levels)
		t.Status = trial.Contaminated
		t.CPU.Strangers = []trial.Stranger{{PID: 4242, Comm: "apt-get", Seconds: 0.61}}
		t.Warnings = []trial.Warning{{Code: "strangers", Text: "other processes used 30.5 % of the CPUs: apt-get 0.61 s"}}
		g.trials = append(g.trials, t)
		attempt++
	}
	if g.Bad && g.rng.IntN(40) == 0 {
		t := g.trial(experiment, rep, attempt, 0, levels)
		t.Status, t.Error = trial.Failed, "flow 1: connect 10.77.1.1:7001: connection refused"
		t.Flows, t.Knobs, t.CPU, t.ServiceDemand, t.ServerServiceDemand = nil, nil, trial.CPU{}, 0, 0
		g.trials = append(g.trials, t)
		attempt++
	}
	if g.Bimodal != "" && levels["affinity"] == g.Bimodal && g.rng.IntN(2) == 0 {
		scaled *= 1.7
	}
	g.trials = append(g.trials, g.trial(experiment, rep, attempt, scaled, levels))
}

func (g *generator) trial(experiment string, rep, attempt int, scaled float64, levels map[string]string) trial.Trial {
	const window = 1.0
	cpus := 2
	fmt.Sscan(levels["cpus"], &cpus)
	g.clock = g.clock.Add(1500 * time.Millisecond)
	scaled *= math.Exp(g.Noise * g.rng.NormFloat64())
	order := len(g.trials) + 1
	t := trial.Trial{
		Schema: trial.SchemaVersion, ID: fmt.Sprintf("%s.t%d", experiment, order), Experiment: experiment,
		Levels: maps.Clone(levels), Replicate: rep, Order: order, Attempt: attempt, Status: trial.OK,
		Started: g.clock, WindowSeconds: window,
	}
	server := 0.42 + 0.02*g.rng.Float64()
	t.ThroughputBitsPerSecond = scaled * server
	if experiment == "nics" {
		t.ThroughputBitsPerSecond = scaled
	}
	util := 0.93 + 0.02*g.rng.Float64()
	t.CPU = trial.CPU{
		Source: "synthetic", Exact: !g.NoGroups, UserSystemSplit: "exact", Online: cpus, WindowSeconds: window,
		Utilization: util, TaskUtilization: util - 0.01, ClosureError: 0.0004,
	}
	t.ScaledToCPU = t.ThroughputBitsPerSecond / util
	kib := t.ThroughputBitsPerSecond / 8 / 1024 * window
	t.ServiceDemand = util * float64(cpus) * window * 1e9 / kib
	if !g.NoGroups {
		t.CPU.ServerUtilization = server
		t.ServerScaledToCPU = t.ThroughputBitsPerSecond / server
		t.ServerServiceDemand = server * float64(cpus) * window * 1e9 / kib
		wall := float64(cpus) * window
		t.CPU.Groups = map[string]float64{
			"server": server * wall, "client": (util - server - 0.035) * wall, "tool": 0.005 * wall,
			"kernel": 0.008 * wall, "stranger": 0.004 * wall, "idle-softirq": 0.006 * wall, "idle-busy": 0.012 * wall,
		}
	}
	for c := range cpus {
		t.CPU.PerCPU = append(t.CPU.PerCPU, trial.CPUTime{
			CPU: c, User: 0.05, System: util - 0.15, SoftIRQ: 0.09, IRQ: 0.01, Idle: 1 - util, IdleBusy: 0.01,
		})
	}
	nics := 2
	fmt.Sscan(levels["nics"], &nics)
	for n := range nics {
		f := trial.Flow{
			ID: n, NIC: n, ServerCPU: -1, ClientCPU: -1, ThroughputBitsPerSecond: t.ThroughputBitsPerSecond / float64(nics),
			IntervalSeconds: 0.1, CongestionControl: "cubic", ReceiveBufferBytes: 131072, SendBufferBytes: 131072, NoDelay: true,
		}
		for range 10 {
			b := uint64(f.ThroughputBitsPerSecond / 8 * 0.1 * (1 + 0.05*g.rng.NormFloat64()))
			f.IntervalBytes = append(f.IntervalBytes, b)
			f.Bytes += b
		}
		f.Messages = f.Bytes / 4096
		t.Flows = append(t.Flows, f)
		t.MessagesPerSecond += float64(f.Messages)
		t.Knobs = append(t.Knobs, trial.Knob{
			Name: "irq-affinity", Target: fmt.Sprintf("server:sm-nic%d", n), Value: "0-1", Mechanism: "threaded-napi",
		})
	}
	t.Knobs = append(t.Knobs, trial.Knob{Name: "mtu", Target: "server:sm-nic0", Value: "1500", Mechanism: "netlink"})
	return t
}
