package experiment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func near(a, b float64) bool { d := a - b; return d < 1e-6*b && -d < 1e-6*b }

// TestFill holds the figures of a record against ones computed by hand: 2 flows carry 125 MB and
// 375 MB in 2 s on 4 CPUs, half busy, an eighth with the server.
func TestFill(t *testing.T) {
	spec := load.Spec{Flows: []load.FlowSpec{{ID: 4, NIC: 0, CPU: 1}, {ID: 7, NIC: 1, CPU: -1}}}
	m := agent.Measured{
		Started: time.Unix(1, 0), Seconds: 2,
		Flows: []load.Count{
			{ID: 4, Tally: load.Tally{Received: 125e6, ReceivedMessages: 1000}, Seconds: 2, EdgeSkew: 5 * time.Microsecond, IntervalSeconds: 0.5, IntervalBytes: []uint64{31e6, 31e6, 31e6, 32e6}},
			{ID: 7, Tally: load.Tally{Received: 375e6, ReceivedMessages: 3000}, Seconds: 2, IntervalSeconds: 0.5, IntervalBytes: []uint64{93e6, 94e6, 94e6, 94e6}},
		},
		CPU: trial.CPU{Online: 4, WindowSeconds: 2.001, Utilization: 0.5, ServerUtilization: 0.125},
	}
	sent := []load.End{
		{ID: 7, Socket: load.SocketInfo{Congestion: "cubic", SendBufferBytes: 131072, NoDelay: true, Retransmits: 3}},
		{ID: 4, Socket: load.SocketInfo{Congestion: "reno"}},
	}
	received := []load.End{{ID: 4, Socket: load.SocketInfo{ReceiveBufferBytes: 4096}}}
	var rec trial.Trial
	fill(&rec, spec, spec, m, sent, received)
	for name, v := range map[string][2]float64{
		"throughput":              {rec.ThroughputBitsPerSecond, 2e9},
		"messages":                {rec.MessagesPerSecond, 2000},
		"scaled":                  {rec.ScaledToCPU, 4e9},
		"scaled to the server":    {rec.ServerScaledToCPU, 16e9},
		"service demand":          {rec.ServiceDemand, 4e9 / (500e6 / 1024)},
		"server's service demand": {rec.ServerServiceDemand, 1e9 / (500e6 / 1024)},
		"flow 4":                  {rec.Flows[0].ThroughputBitsPerSecond, 0.5e9},
		"flow 7":                  {rec.Flows[1].ThroughputBitsPerSecond, 1.5e9},
	} {
		if !near(v[0], v[1]) {
			t.Errorf("%s: %v, want %v", name, v[0], v[1])
		}
	}
	a, b := rec.Flows[0], rec.Flows[1]
	if a.ID != 4 || a.ServerCPU != 1 || a.CongestionControl != "reno" || a.ReceiveBufferBytes != 4096 || a.EdgeSkewNanoseconds != 5000 {
		t.Errorf("flow 4: %+v", a)
	}
	if b.ID != 7 || b.NIC != 1 || b.CongestionControl != "cubic" || b.SendBufferBytes != 131072 || !b.NoDelay || b.Retransmits != 3 {
		t.Errorf("flow 7: %+v", b)
	}
	if len(rec.Warnings) != 0 {
		t.Errorf("warnings of steady flows (the smaller has half the mean): %v", rec.Warnings)
	}
}

// TestScaleLeavesOutWhatIsUnknown wants no figure where nothing was measured.
func TestScaleLeavesOutWhatIsUnknown(t *testing.T) {
	rec := trial.Trial{ThroughputBitsPerSecond: 1e9, WindowSeconds: 1}
	scale(&rec, 1<<20)
	if rec.ScaledToCPU != 0 || rec.ServiceDemand != 0 || rec.ServerScaledToCPU != 0 {
		t.Errorf("figures without CPU time: %+v", rec)
	}
	rec.CPU = trial.CPU{Online: 1, Utilization: 0.5}
	rec.ThroughputBitsPerSecond = 0
	scale(&rec, 0)
	if rec.ServiceDemand != 0 || rec.ScaledToCPU != 0 {
		t.Errorf("figures without bytes: %+v", rec)
	}
}

func TestFlowWarnings(t *testing.T) {
	flows := func(v ...[]uint64) (out []trial.Flow) {
		for i, bytes := range v {
			f := trial.Flow{ID: i, IntervalBytes: bytes}
			for _, b := range bytes {
				f.ThroughputBitsPerSecond += float64(b) * 8
			}
			out = append(out, f)
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		flows []trial.Flow
		want  string // codes
	}{
		{"steady", flows([]uint64{10, 10, 10, 10}, []uint64{10, 10, 10, 10}), ""},
		{"a gap", flows([]uint64{10, 0, 10, 1}, []uint64{10, 20, 10, 19}), "stalled-flow"},
		{"nothing at all", flows([]uint64{0, 0, 0, 0}, []uint64{0, 0, 0, 0}), "stalled-flow stalled-flow"},
		{"a small one", flows([]uint64{2, 2, 2, 2}, []uint64{10, 10, 10, 10}), "skewed-flow"},
		{"just not small", flows([]uint64{10, 10, 10, 10}, []uint64{29, 29, 29, 29}), ""},
		{"growing", flows([]uint64{10, 10, 13, 13}), "not-steady"},
		{"falling", flows([]uint64{13, 13, 10, 10}), "not-steady"},
		{"little growth", flows([]uint64{10, 10, 12, 12}), ""},
		{"a short last interval", flows([]uint64{10, 10, 10, 10, 1}), ""},
		{"too few to tell", flows([]uint64{1, 9, 9}), ""},
		{"against each other", flows([]uint64{10, 10, 20, 20}, []uint64{20, 20, 10, 10}), ""},
		{"none", nil, ""},
	} {
		var codes []string
		for _, w := range flowWarnings(tc.flows) {
			codes = append(codes, w.Code)
			if strings.Contains(w.Text, "NaN") || w.Text == "" {
				t.Errorf("%s: text %q", tc.name, w.Text)
			}
		}
		if got := strings.Join(codes, " "); got != tc.want {
			t.Errorf("%s: warnings %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDisturbed(t *testing.T) {
	cpu := func(stranger, steal float64) trial.CPU {
		return trial.CPU{
			Online: 2, WindowSeconds: 5, Groups: map[string]float64{"stranger": stranger, "server": 9},
			Strangers: []trial.Stranger{{PID: 7, Comm: "cron", Seconds: stranger}},
			PerCPU:    []trial.CPUTime{{Steal: steal / 2}, {Steal: steal / 2}},
		}
	}
	for _, tc := range []struct {
		cpu  trial.CPU
		want string
	}{
		{cpu(0.5, 0), ""}, // 5 % of 10 s, not above it
		{cpu(0.6, 0), "strangers used 6.0 % of the CPUs, most by cron (pid 7); the limit is 5.0 %"},
		{cpu(0, 0.6), "the hypervisor stole 6.0 % of the CPUs; the limit is 5.0 %"},
		{cpu(0, 0.5), ""},
		{trial.CPU{}, ""},
	} {
		got, bad := disturbed(tc.cpu, 0.05)
		if got != tc.want || bad != (tc.want != "") {
			t.Errorf("%v: %q, want %q", fmt.Sprint(tc.cpu.Groups), got, tc.want)
		}
	}
}
