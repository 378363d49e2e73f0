package meter

import (
	"math"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// interval is one of a second in which a host received so many bytes.
func interval(i int, received uint64) agent.Interval {
	return agent.Interval{Interval: load.Interval{Index: i, Start: float64(i), Seconds: 1, Tally: load.Tally{Received: received, Sent: received}}}
}

// TestSalvage keeps what a receiver told until it was lost, over that shorter time.
func TestSalvage(t *testing.T) {
	f := &fleet{config: &Config{Workload: "tcp_stream"}}
	from, to := f.add(sender, 0), f.add(receiver, 0)
	to.clock.Offset = 5e9
	const opened = int64(100e9)
	live := newTicker(f, opened)
	for i := range 3 {
		live.take(from, interval(i, 0))
		if i < 2 {
			live.take(to, interval(i, 1e9))
		}
	}
	got := map[*station]agent.Measured{from: {Seconds: 10, Opened: opened, Closed: opened + 10e9, Total: load.Tally{Sent: 2e9}}}
	if !f.salvage(got, live) {
		t.Error("no host was cut off")
	}
	o, c, _ := common(f.stations, got)
	r := f.figures(got, float64(c-o)/1e9)
	if r.Seconds != 2 || r.BitsPerSecond != 8e9 || r.SentBitsPerSecond != 1.6e9 || r.CPUSeconds != 0 {
		t.Errorf("%+v", r)
	}
	if w := f.warnings.list; len(w) != 1 || w[0].Code != "cut-off" || !strings.HasPrefix(w[0].Text, "receiver: ") {
		t.Errorf("warnings %+v", w)
	}
	if live = newTicker(f, opened); f.salvage(got, live) {
		t.Error("cut off where every host told")
	}
}

// TestWholeMatchesFlows adds up windows of which an agent returns other flows in another order.
func TestWholeMatchesFlows(t *testing.T) {
	f := &fleet{config: &Config{Workload: "tcp_stream"}}
	s := f.add(receiver, 0)
	count := func(id int, n uint64) load.Count {
		return load.Count{ID: id, Tally: load.Tally{Received: n}, Seconds: 1}
	}
	m := &measured{raw: []map[*station]agent.Measured{
		{s: {Seconds: 1, Flows: []load.Count{count(0, 1)}}},
		{s: {Seconds: 1, Flows: []load.Count{count(7, 10), count(0, 100)}}},
	}}
	sum := f.whole(m)[s].Flows
	if len(sum) != 2 || sum[0].Received != 101 || sum[0].Seconds != 2 || sum[1].ID != 7 || sum[1].Received != 10 || len(m.raw[0][s].Flows) != 1 {
		t.Errorf("%+v", sum)
	}
}

// TestCostWithoutStrangers leaves out the time of strangers where it is exact.
func TestCostWithoutStrangers(t *testing.T) {
	for exact, cpus := range map[bool]float64{true: 0.75, false: 1} {
		f := &fleet{config: &Config{Workload: "tcp_rr"}}
		s := f.add(sender, 0)
		s.measures = true
		out := Figures{Seconds: 4, TransactionsPerSecond: 3000}
		f.cost(&out, map[*station]agent.Measured{s: {CPU: trial.CPU{
			Exact: exact, Online: 2, WindowSeconds: 4, Utilization: 0.5, Groups: map[string]float64{"stranger": 1},
		}}})
		if math.Abs(out.CPUSeconds-4*cpus) > 1e-9 || math.Abs(out.TransactionsPerCPU-3000/cpus) > 1e-6 {
			t.Errorf("exact %v: %+v", exact, out)
		}
	}
}
