package report

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/meter"
)

// measuredRun is a run as meter tells it, with everything that the report may have to show.
func measuredRun(flows int) *meter.Result {
	f := meter.Figures{
		Seconds: 2, BitsPerSecond: 1e6, ReverseBitsPerSecond: 2e6, TransactionsPerSecond: 12900, CPUSeconds: 3, TransactionsPerCPU: 8600,
		Latency: &hist.Percentiles{Count: 25800, Min: 5e3, Mean: 2e4, P50: 18e3, P90: 3e4, P99: 134e3, P999: 1e6, P9999: 2e6, Max: 3e6},
	}
	r := &meter.Result{
		Config: meter.Config{Workload: "tcp_rr", Flows: flows, MessageBytes: 1, Response: 100, Rate: 500, Engine: "kernel", Name: "morning"}, Rig: "hosts", Figures: f,
		Windows:  []meter.Window{{Figures: f, SkewNanoseconds: 4000, UncertaintyNanoseconds: 30000}, {Figures: f, UncertaintyNanoseconds: 20000}},
		Estimate: &meter.Estimate{Metric: "transactions_per_second", Estimate: stats.Estimate{Value: 12900, Lo: 12000, Hi: 13000, Confidence: 0.969, N: 6}},
		Error:    "10.0.0.2:4777: the agent is gone",
		Machines: []meter.Machine{{Hosts: []string{"sender"}, Kernel: "6.18", CPU: trial.CPU{Online: 2, Source: "bpf", Exact: true, Utilization: 0.75, WindowSeconds: 2, Groups: map[string]float64{"sender": 2, "tool": 0.5}}}, {Hosts: []string{"receiver"}}},
		Hosts: []meter.HostResult{
			{Name: "sender", NICs: []string{"eth1"}, Flows: flows, Model: "thread", StartSkew: 57000, ClockDrift: -9000, Counters: map[string]uint64{"sender.softnet.dropped": 7, "sender.Tcp.OutSegs": 99}},
			{Name: "receiver", Agent: "10.0.0.2:4777", Flows: flows, Model: "thread", Error: "the agent is gone"},
		},
		Warnings: []trial.Warning{{Code: "steal", Text: "the hypervisor took 1.7 %"}},
	}
	for i := range flows {
		r.Flows = append(r.Flows, meter.Flow{ID: i, BitsPerSecond: float64(i) * 1e6, SenderEnd: load.SocketInfo{Congestion: "cubic", Retransmits: uint64(i), RTTMicroseconds: 100, CongestionWindow: 10}})
	}
	return r
}

func TestRunTellsAll(t *testing.T) {
	for _, tc := range []struct {
		flows int
		want  []string
	}{{2, []string{"\n  0 ", "\n  1 "}}, {20, []string{"\n  least ", "\n  median ", "\n  most "}}} {
		for _, width := range []int{60, 100} {
			var b bytes.Buffer
			if err := Run(&b, measuredRun(tc.flows), TextOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			for i, line := range strings.Split(out, "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("width %d: line %d has %d columns: %q", width, i+1, n, line)
				}
			}
			words := strings.Join(strings.Fields(out), " ")
			for _, w := range []string{
				"INCOMPLETE: 10.0.0.2:4777: the agent is gone", "LOST: the agent is gone", "morning", "request 1 B, response 100 B", "begun at 500/s a flow",
				"12.9 k/s", "[12.0 k/s, 13.0 k/s] at 96.9 %", "134 us", "over 2 windows, 2.00 s in all", "sender 2 s, tool 0.5 s", "congestion control cubic",
				"4.00 us apart", "±30.0 us", "57.0 us after", "drifted by at most 9.00 us", "sender.softnet.dropped: 7", "steal: the hypervisor took 1.7 %",
			} {
				if !strings.Contains(words, w) {
					t.Errorf("width %d: %q is not told:\n%s", width, w, out)
				}
			}
			for _, w := range tc.want {
				if !strings.Contains(out, w) {
					t.Errorf("width %d, %d flows: no row %q:\n%s", width, tc.flows, w, out)
				}
			}
			if strings.Contains(out, "OutSegs") || strings.Contains(out, "%!") || strings.Contains(out, "\x1b") {
				t.Errorf("width %d: told what it should not:\n%s", width, out)
			}
		}
	}
}
