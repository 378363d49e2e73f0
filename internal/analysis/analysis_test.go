package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

var plan = Plan{
	Defaults: map[string]string{"message_size": "8192"},
	Experiments: []PlanExperiment{
		{Name: "mtu", Title: "MTU", Baseline: map[string]string{"mtu": "1500", "gro": "off"}},
	},
}

func analyzed(t *testing.T, o synthetic.Options) *Report {
	t.Helper()
	r := Analyze(synthetic.Trials(o), Options{Plan: plan, Seed: 1})
	if _, err := json.Marshal(r); err != nil {
		t.Fatalf("not JSON-able: %v", err)
	}
	return r
}

func (r *Report) experiment(t *testing.T, name string) *Experiment {
	t.Helper()
	i := slices.IndexFunc(r.Experiments, func(e *Experiment) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("no experiment %q", name)
	}
	return r.Experiments[i]
}

func codes(r *Report) map[string]int {
	m := map[string]int{}
	for _, w := range r.Warnings {
		m[w.Code]++
	}
	return m
}

// The effects that were put in come out, within their intervals.
func TestKnownEffects(t *testing.T) {
	r := analyzed(t, synthetic.Options{Seed: 1, Replicates: 8, Sizes: []int{1024, 8192}})
	if r.Primary != Server {
		t.Errorf("primary metric %q", r.Primary)
	}
	rows := r.experiment(t, "affinity").Affinity
	if len(rows) != 2 || rows[0].MessageBytes != 1024 || rows[1].Paper == nil || rows[1].Paper.Both != 0.6803 {
		t.Fatalf("rows of Table 1: %+v", rows)
	}
	for _, row := range rows {
		for _, a := range []string{"irq", "process", "both", "opposite"} {
			checkGain(t, a, row.Case(a, ""), synthetic.Effects[a], More)
		}
		checkGain(t, "as-found", row.Case("none", "as-found"), synthetic.Effects["as-found"], More)
		x := row.Interaction[Server]
		want := synthetic.Effects["both"] - synthetic.Effects["irq"] - synthetic.Effects["process"]
		if x == nil || x.Verdict != More || math.Abs(x.Value-want) > 0.08 || x.P > 0.05 {
			t.Errorf("interaction %+v, want about %v", x, want)
		}
		if _, ok := row.Interaction[Machine]; !ok {
			t.Error("no interaction on the whole machine")
		}
	}

	for _, s := range r.experiment(t, "smp").CPUs {
		if len(s.Points) != 3 {
			t.Fatalf("%d points", len(s.Points))
		}
		for i, want := range []float64{1.55, 2.1} {
			f := s.Points[i+1].Factor[Server]
			if f == nil || math.Abs(f.Value-want) > 0.05 || f.Lo > f.Value || f.Hi < f.Value {
				t.Errorf("factor at %d CPUs: %+v, want %v", s.Points[i+1].N, f, want)
			}
		}
		if s.Fits[Server] == nil || s.Fits[Server].Sigma.Value < 0.1 {
			t.Errorf("fit %+v", s.Fits[Server])
		}
	}
	nics := r.experiment(t, "nics").NICs[0]
	if e := nics.Points[1].Efficiency[Throughput]; math.Abs(e.Value-6.99/6.04/2) > 0.02 {
		t.Errorf("efficiency with 2 NICs %+v, want the paper's 58 %%", e)
	}
	if nics.MessageBytes != 8192 {
		t.Errorf("message size %d: the plan's default was not seen", nics.MessageBytes)
	}
	mtu := r.experiment(t, "mtu").Contrasts
	if len(mtu) != 1 || len(mtu[0].Against) != 3 || mtu[0].BaselineKey != "gro=off,mtu=1500" {
		t.Fatalf("mtu: %+v", mtu)
	}
	for _, c := range mtu[0].Against {
		if c.Key == "gro=off,mtu=9000" && math.Abs(c.Gains[Server].Unpaired.Value-2) > 0.1 {
			t.Errorf("9000 against 1500: %+v, want +200 %%", c.Gains[Server])
		}
	}
	if len(codes(r)) != 0 {
		t.Errorf("warnings on clean data: %v", r.Warnings)
	}
}

func checkGain(t *testing.T, name string, c *AffinityCase, want float64, verdict Verdict) {
	t.Helper()
	if c == nil {
		t.Errorf("%s: missing", name)
		return
	}
	g := c.Gains[Server]
	if math.Abs(g.Unpaired.Value-want) > 0.05 || g.Verdict != verdict || g.Paired == nil || math.Abs(g.Paired.Value-want) > 0.05 {
		t.Errorf("%s: %+v paired %+v, want %v %s", name, g, g.Paired, want, verdict)
	}
}

// Where there is nothing to see, nothing is claimed; where there are too few
// replicates, that is said instead.
func TestNoClaims(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var trials []trial.Trial
	for rep := 1; rep <= 6; rep++ {
		for _, a := range []string{"none", "irq", "process", "both"} {
			v := 5e9 * (1 + 0.02*rng.NormFloat64())
			trials = append(trials, trial.Trial{
				Schema: 1, Status: trial.OK, Experiment: "affinity", Replicate: rep,
				Levels: map[string]string{"affinity": a}, ServerScaledToCPU: v, ScaledToCPU: v, ThroughputBitsPerSecond: v,
				CPU: trial.CPU{Exact: true, Source: "synthetic"},
			})
		}
	}
	row := Analyze(trials, Options{}).Experiments[0].Affinity[0]
	if x := row.Interaction[Server]; x.Verdict != NoDifference {
		t.Errorf("interaction of noise: %+v", x)
	}
	for _, c := range row.Cases {
		if v := c.Gains[Server].Verdict; v != NoDifference {
			t.Errorf("%s: %q on noise", c.Affinity, v)
		}
	}
	r := analyzed(t, synthetic.Options{Replicates: 1})
	row = r.experiment(t, "affinity").Affinity[0]
	if v := row.Case("both", "").Gains[Server].Verdict; v != TooFew {
		t.Errorf("one replicate: %q", v)
	}
	if v := row.Interaction[Server].Verdict; v != TooFew {
		t.Errorf("interaction of one replicate: %q", v)
	}
	if codes(r)["too-few-replicates"] != 4 {
		t.Errorf("warnings %v", r.Warnings)
	}
}

func TestUglyData(t *testing.T) {
	r := analyzed(t, synthetic.Options{Seed: 4, Replicates: 10, Bimodal: "process", Missing: true, Bad: true})
	got := codes(r)
	for _, c := range []string{"bimodal", "missing-replicates", "contaminated", "strangers", "trial-error", "failed"} {
		if got[c] == 0 {
			t.Errorf("no warning %q in %v", c, got)
		}
	}
	for _, w := range r.Warnings {
		if w.Code == "bimodal" && w.Cell != "affinity=process,message_size=8192,unpinned=scatter" {
			t.Errorf("bimodal seen in %q", w.Cell)
		}
	}
	// Contaminated trials don't count, and each replicate counts once.
	for _, e := range r.Experiments {
		for _, c := range e.Cells {
			if c.OK > 10 {
				t.Errorf("%s: %d trials of 10", c.Key, c.OK)
			}
			if d := c.Metrics[Server]; d != nil && c.Levels["affinity"] == "none" && d.CV > 0.03 {
				t.Errorf("%s: spread %v, a contaminated trial counts", c.Key, d.CV)
			}
		}
	}

	if n := codes(analyzed(t, synthetic.Options{Noise: 0.3}))["wide-interval"]; n < 10 {
		t.Errorf("%d warnings of wide intervals with 30 %% noise", n)
	}

	r = analyzed(t, synthetic.Options{NoGroups: true})
	if r.Primary != Machine {
		t.Errorf("without attribution the primary metric is %q", r.Primary)
	}
	if codes(r)["inexact-cpu"] != 1 {
		t.Errorf("no word about inexact CPU time: %v", r.Warnings)
	}
	c := r.experiment(t, "affinity").Affinity[0].Case("both", "")
	if c.Gains[Server] != nil || c.Gains[Machine] == nil {
		t.Errorf("gains %v", c.Gains)
	}
	if c.Cell.Groups != nil {
		t.Error("groups from nothing")
	}

	short := synthetic.Trials(synthetic.Options{})
	for i := range short {
		short[i].CPU.Online = 2
	}
	if codes(Analyze(short, Options{}))["cpus-not-in-use"] != 1 {
		t.Error("no word about CPUs that count but are not in use")
	}

	if r := Analyze(nil, Options{}); len(r.Experiments) != 0 {
		t.Error("experiments from nothing")
	}
	only := synthetic.Trials(synthetic.Options{Seed: 1})
	for i := range only {
		only[i].Status = trial.Failed
	}
	if r := Analyze(only, Options{}); codes(r)["no-trial"] == 0 {
		t.Error("all failed, and no word of it")
	}
	// A cell of the table without its baseline: no gains, no panic.
	only = slices.DeleteFunc(synthetic.Trials(synthetic.Options{}), func(x trial.Trial) bool {
		return x.Experiment != "affinity" || x.Levels["affinity"] == "none" && x.Levels["unpinned"] == "scatter"
	})
	row := Analyze(only, Options{}).Experiments[0].Affinity[0]
	if row.Baseline != nil || len(row.Case("both", "scatter").Gains) != 0 || len(row.Interaction) != 0 {
		t.Errorf("gains over nothing: %+v", row)
	}
}

func TestGroupsSumToOne(t *testing.T) {
	for _, c := range analyzed(t, synthetic.Options{}).experiment(t, "affinity").Cells {
		total := 0.0
		for _, s := range c.Groups {
			total += s
		}
		if math.Abs(total-1) > 1e-9 || c.Groups["idle"] <= 0 {
			t.Errorf("%s: groups sum to %v: %v", c.Key, total, c.Groups)
		}
	}
}

// The shares of the paper's Table 1 keep its own claims.
func TestPaperTable(t *testing.T) {
	for _, p := range PaperTable1 {
		if p.Irregular() {
			t.Errorf("%d bytes: outside the ranges of section 2.1: %+v", p.MessageBytes, p)
		}
	}
	if got := PaperNICs[1].BitsPerSecond / PaperNICs[0].BitsPerSecond / 2; math.Abs(got-PaperNICEfficiency) > 0.005 {
		t.Errorf("699/(604*2) = %v", got)
	}
}

// Irregular checks the ranges that section 2.1 states: IRQ 4 to 21 %, PROCESS
// 6 to 28 %, BOTH 42 to 74 %, and BOTH above the sum.
func (p PaperAffinity) Irregular() bool {
	in := func(v, lo, hi float64) bool { return v >= lo && v < hi+0.01 }
	return !in(p.IRQ, 0.04, 0.21) || !in(p.Process, 0.06, 0.28) || !in(p.Both, 0.42, 0.74) || p.Interaction() <= 0
}

// TestDisturbedTrialsThatCount must be told: where every attempt was disturbed the last one counts.
func TestDisturbedTrialsThatCount(t *testing.T) {
	trials := synthetic.Trials(synthetic.Options{Seed: 9})
	told := func() string {
		for _, w := range Analyze(trials, Options{}).Warnings {
			if w.Code == "disturbed-trials-count" && w.Experiment == "smp" {
				return w.Text
			}
		}
		return ""
	}
	if text := told(); text != "" {
		t.Errorf("no trial was disturbed: %q", text)
	}
	for i := range trials[:2] {
		trials[i].Warnings = append(trials[i].Warnings, trial.Warning{Code: "contaminated", Text: "strangers used 12 % of the CPUs"})
	}
	if text := told(); !strings.HasPrefix(text, "2 of the 18 trials that count were disturbed") {
		t.Errorf("two trials were disturbed: %q", text)
	}
}
