package advise

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// model is a bench whose answers are known: settings multiply the throughput, with noise.
type model struct {
	rng    *rand.Rand
	noise  float64
	own    float64            // noise of throughput scaled to CPU, which is independent; 0: they are the same
	saves  map[string]float64 // what a setting gains in throughput scaled to CPU alone
	gains  map[string]float64 // by setting
	refuse string             // a setting that can't be had
	breaks string             // a setting with which every trial fails
	fail   int                // every so manieth trial fails; 0: none
	groOff bool               // which is a cause, as frames are full
	trials int
	// What things take.
	takes, slower, trying, profiling, asking time.Duration // slower: a trial by each setting
}

func (m *model) Trial(_ context.Context, c experiment.Config, t experiment.Timing) (trial.Trial, error) {
	time.Sleep(m.takes + time.Duration(len(c.Tune))*m.slower)
	m.trials++
	if _, broken := c.Tune[m.breaks]; broken || m.fail > 0 && m.trials%m.fail == 0 {
		return trial.Trial{Status: trial.Failed, Error: "no turn"}, errors.New("no turn")
	}
	y := 1e10 * math.Exp(m.noise*m.rng.NormFloat64())
	scaled := y
	if m.own > 0 {
		scaled = 1e10 * math.Exp(m.own*m.rng.NormFloat64())
	}
	for name := range c.Tune {
		y *= 1 + m.gains[name]
		scaled *= (1 + m.gains[name]) * (1 + m.saves[name])
	}
	return trial.Trial{
		Status: trial.OK, ThroughputBitsPerSecond: y, ScaledToCPU: scaled,
		CPU:      trial.CPU{WindowSeconds: t.Window.Seconds(), Online: 1, PerCPU: []trial.CPUTime{{System: t.Window.Seconds()}}},
		Flows:    []trial.Flow{{ThroughputBitsPerSecond: y, ServerCPU: -1}},
		Counters: map[string]uint64{"server.x0.rx_bytes": 1500e6, "server.x0.rx_packets": 1e6},
	}, nil
}

var tried = []string{"gro", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "rps", "rx-usecs", "qdisc"}

func (m *model) Settings(context.Context, []string) (server, client []agent.Tunable, err error) {
	values := map[string]string{"gro": "on", "net.ipv4.tcp_rmem": "4096 131072 67108864", "net.ipv4.tcp_wmem": "4096 65536 67108864", "rps": "all", "rx-usecs": "8", "qdisc": "fq"}
	for _, name := range tried {
		server = append(server, agent.Tunable{Setting: name, Scope: tune.NIC, Target: "x0", Value: "?", Candidates: []string{values[name]}})
	}
	if m.groOff {
		server[0].Value = "off"
		server = append(server, agent.Tunable{Setting: "mtu", Scope: tune.NIC, Target: "x0", Value: "1500"})
	}
	return server, nil, nil
}

func (m *model) Profiled(ctx context.Context, c experiment.Config, t experiment.Timing, within time.Duration) (rec trial.Trial, seen *Profiled, why, err error) {
	time.Sleep(min(m.profiling, within))
	rec, err = m.Trial(ctx, c, t)
	return rec, nil, errors.New("no profile here"), err
}

func (m *model) Try(_ context.Context, c experiment.Config) error {
	time.Sleep(m.trying)
	if _, ok := c.Tune[m.refuse]; ok {
		return errors.New("the driver doesn't have it")
	}
	return nil
}

func (m *model) Latency(context.Context, experiment.Config, experiment.Timing) (Percentiles, error) {
	time.Sleep(m.asking)
	return Percentiles{P50: 1e-5, P99: 1e-4, Count: 100}, nil
}

func (m *model) NICs() []NIC { return []NIC{{Name: "x0"}} }

func (m *model) options(budget time.Duration) Options {
	return Options{
		Bench: m, Place: Place{Base: experiment.Levels{"affinity": "none"}, NICs: []string{"x0"}},
		Timing: experiment.Timing{RampUp: 1, Window: time.Millisecond, Interval: time.Millisecond},
		Budget: budget, Seed: 3, Profile: true, Record: func(trial.Trial) error { return nil },
	}
}

func (m *model) advise(t *testing.T, budget time.Duration) *Report {
	t.Helper()
	r, err := Run(t.Context(), m.options(budget))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNoFalseAdvice runs a machine on which nothing gains, with the noise of a quiet rig and of a
// disturbed one, of which that of CPU time is independent, also where a cause is named by mistake, and counts
// the advices that are given all the same.
func TestNoFalseAdvice(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 25
	}
	for _, x := range []struct {
		throughput, scaled float64 // noise
		named              bool
	}{{0.02, 0.15, false}, {0.05, 0.03, false}, {0.1, 0.15, false}, {0.05, 0.08, true}} {
		wrong, nothing, trials := 0, 0, 0
		for n := range uint64(runs) {
			m := &model{rng: rand.New(rand.NewPCG(n, 1)), noise: x.throughput, own: x.scaled, groOff: x.named}
			r := m.advise(t, time.Hour)
			if len(r.Advice) > 0 {
				wrong++
			}
			if r.NothingToGain() {
				nothing++
			}
			trials += m.trials
		}
		t.Logf("noise of throughput %.0f %%, scaled to CPU %.0f %%, a cause named %v: advice where nothing gains in %d of %d runs, \"nothing to gain\" in %d, %.1f trials a run",
			100*x.throughput, 100*x.scaled, x.named, wrong, runs, nothing, float64(trials)/float64(runs))
		if 50*wrong > runs {
			t.Errorf("%d of %d runs advise what does not gain", wrong, runs)
		}
	}
}

// TestAdviceOfAGain plants gains and wants them advised, most first, and nothing else.
func TestAdviceOfAGain(t *testing.T) {
	runs := 100
	if testing.Short() {
		runs = 20
	}
	missed := 0
	for n := range uint64(runs) {
		m := &model{rng: rand.New(rand.NewPCG(n, 2)), noise: 0.03, gains: map[string]float64{"gro": 0.5, "rps": 0.25, "rx-usecs": -0.2}, refuse: "qdisc"}
		r := m.advise(t, time.Hour)
		if len(r.Advice) != 2 || r.Advice[0].Name != "gro=on" || r.Advice[1].Name != "rps=all" || r.Together == nil || r.Advice[0].Latency == nil {
			missed++
			continue
		}
		words := map[string]Word{}
		for _, v := range r.Verdicts {
			words[v.Name] = v.Word
		}
		if words["rx-usecs=8"] != Costs || words["qdisc=fq"] != Failed || words["gro=on"] != Gained {
			t.Errorf("run %d: %v", n, words)
		}
	}
	if missed > runs/20 {
		t.Errorf("%d of %d runs miss a gain of 50 or 25 %%", missed, runs)
	}
}

// TestAdviceOfSavedTime has a line at its rate, of which a remedy changes next to nothing, if certainly: what it
// saves, or costs, in CPU time is what tells.
func TestAdviceOfSavedTime(t *testing.T) {
	m := &model{
		rng: rand.New(rand.NewPCG(4, 2)), noise: 0.0002, own: 0.05,
		gains: map[string]float64{"gro": 0.001, "rps": -0.001}, saves: map[string]float64{"gro": 1, "rps": -0.4},
	}
	r := m.advise(t, time.Hour)
	if len(r.Advice) != 1 || r.Advice[0].Name != "gro=on" {
		t.Errorf("advice %+v, want gro=on", r.Advice)
	}
	for _, v := range r.Verdicts {
		if want := map[string]Word{"gro=on": Gained, "rps=all": Costs}[v.Name]; want != "" && v.Word != want {
			t.Errorf("%s %s (%s), want that it %s", v.Name, v.Word, v.Text, want)
		}
	}
}

// TestFailures has every third trial fail, and wants an advice all the same.
func TestFailures(t *testing.T) {
	m := &model{rng: rand.New(rand.NewPCG(5, 2)), noise: 0.03, gains: map[string]float64{"gro": 0.5}, fail: 3}
	if r := m.advise(t, time.Hour); len(r.Advice) != 1 || r.Advice[0].Name != "gro=on" || r.Trials != m.trials {
		t.Errorf("%+v after %d trials, %d counted", r.Advice, m.trials, r.Trials)
	}
}

// TestInterrupted wants a cancelled advice to say so at once.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	m := &model{rng: rand.New(rand.NewPCG(1, 3)), noise: 0.03}
	why := errors.New("stop")
	_, err := Run(ctx, Options{
		Bench: m, Place: Place{Base: experiment.Levels{"affinity": "none"}}, Timing: experiment.Timing{Window: time.Millisecond},
		Budget: time.Hour, Record: func(trial.Trial) error { cancel(why); return nil },
	})
	if !errors.Is(err, why) || m.trials != 1 {
		t.Errorf("error %v after %d trials, want %v after one", err, m.trials, why)
	}
}
