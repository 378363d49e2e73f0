package meter_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/meter"
)

func TestMain(m *testing.M) {
	meter.Dispatch()
	os.Exit(m.Run())
}

// quick is a run on the built-in rig that takes little time.
func quick(workload string) meter.Config {
	return meter.Config{Workload: workload, RampUp: 50 * time.Millisecond, Duration: 300 * time.Millisecond, Interval: 100 * time.Millisecond}
}

func needRoot(t *testing.T) {
	t.Helper()
	if rig.Rootless() {
		t.Skip("not root: the built-in rig needs network namespaces")
	}
}

// TestRun measures each pattern on the built-in rig, one machine with both ends.
func TestRun(t *testing.T) {
	needRoot(t)
	for _, pattern := range []string{"stream", "maerts", "bidir", "rr", "crr"} {
		t.Run(pattern, func(t *testing.T) {
			c := quick("tcp_" + pattern)
			c.Flows = 3
			var intervals, windows int
			c.Watch = func(e meter.Event) {
				if e.Interval != nil {
					intervals++
				}
				if e.Window != nil {
					windows++
				}
			}
			r, err := meter.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Complete || len(r.Windows) != 1 || windows != 1 || intervals != 3 || len(r.Windows[0].Intervals) != 3 {
				t.Errorf("complete %v, %d windows, %d and %d intervals", r.Complete, windows, intervals, len(r.Windows[0].Intervals))
			}
			if r.Seconds < 0.29 || r.Seconds > 2 { // a busy machine closes it late, and says so
				t.Errorf("window of %.3f s, want 0.3", r.Seconds)
			}
			if len(r.Machines) != 1 || r.Machines[0].CPU.Online == 0 || r.CPUSeconds <= 0 {
				t.Errorf("machines: %+v", r.Machines)
			}
			forward, reverse := r.BitsPerSecond > 0, r.ReverseBitsPerSecond > 0
			switch pattern {
			case "stream", "maerts":
				if !forward || reverse || r.Latency != nil || r.ScaledToCPU == 0 {
					t.Errorf("%+v", r.Figures)
				}
			case "bidir":
				if !forward || !reverse {
					t.Errorf("%+v", r.Figures)
				}
			default:
				if r.TransactionsPerSecond < 100 || r.Latency == nil || r.Latency.P50 <= 0 || r.TransactionsPerCPU == 0 {
					t.Errorf("%+v, latency %+v", r.Figures, r.Latency)
				}
			}
			if h := r.LatencyHistogram; (h == nil) != (r.Latency == nil) || h != nil && h.Count() != r.Latency.Count {
				t.Errorf("histogram %v of latency %+v", h, r.Latency)
			}
			for _, f := range r.Windows[0].Flows {
				sum := func(xs []uint64) (n uint64) {
					for _, x := range xs {
						n += x
					}
					return n
				}
				if of := r.Flows[f.ID]; sum(f.Received) != of.AtReceiver.Received || sum(f.Reverse) != of.AtSender.Received || len(f.Received) != 3 {
					t.Errorf("intervals %v of flow %+v", f, of)
				}
			}
			if want := map[bool]int{true: 0, false: 3}[pattern == "rr" || pattern == "crr"]; len(r.Windows[0].Flows) != want {
				t.Errorf("intervals of %d flows, want %d", len(r.Windows[0].Flows), want)
			}
			if len(r.Flows) != 3 || r.Fairness == nil {
				t.Errorf("%d flows, fairness %v", len(r.Flows), r.Fairness)
			}
			for _, f := range r.Flows {
				if f.Error != "" || pattern != "crr" && (f.AtSender.Bytes() == 0 || f.SenderEnd.Congestion == "") {
					t.Errorf("flow %+v", f)
				}
			}
		})
	}
}

// TestConfidence repeats windows until the figure is known, or says that it is not.
func TestConfidence(t *testing.T) {
	needRoot(t)
	c := quick("tcp_rr")
	c.Duration, c.Interval = 60*time.Millisecond, 60*time.Millisecond
	c.Confidence, c.Within, c.MaxDuration = 0.95, 0.5, 3*time.Second
	r, err := meter.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Estimate; e == nil || !e.Reached || e.N != len(r.Windows) || e.N < 6 || e.Confidence < 0.95 {
		t.Errorf("estimate %+v over %d windows", e, len(r.Windows))
	}
	c.Within, c.MaxDuration = 0.001, 400*time.Millisecond
	if r, err = meter.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	warned := false
	for _, w := range r.Warnings {
		warned = warned || w.Code == "confidence"
	}
	if r.Estimate.Reached != !warned {
		t.Errorf("reached %v, warned %v", r.Estimate.Reached, warned)
	}
}

// TestManyFlows tells how evenly more flows were served than are recorded one by one.
func TestManyFlows(t *testing.T) {
	needRoot(t)
	c := quick("tcp_rr")
	c.Flows = 1100
	r, err := meter.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Fairness == nil || r.Fairness.Max < 1 || len(r.Flows) != 0 {
		t.Errorf("fairness %+v, %d flows recorded", r.Fairness, len(r.Flows))
	}
}

// TestConfigRefused names the field that is wrong, and does nothing.
func TestConfigRefused(t *testing.T) {
	for field, c := range map[string]meter.Config{
		"message_bytes":        {Workload: "tcp_stream", MessageBytes: -1},
		"flows":                {Workload: "tcp_stream", Flows: 1 << 20},
		"senders, receivers":   {Workload: "tcp_stream", Senders: []meter.Host{{}}},
		"confidence":           {Workload: "tcp_rr", Confidence: 95},
		"within":               {Workload: "tcp_rr", Within: 0.05},
		"duration_nanoseconds": {Workload: "tcp_rr", Duration: time.Millisecond},
		"model":                {Workload: "tcp_rr", Model: "fork"},
		"burst":                {Workload: "tcp_crr", Burst: 4},
		"workload":             {Workload: "udp_crr"},
		// What would not be in force.
		"mesh":                              {Workload: "tcp_rr", Mesh: true},
		"threads":                           {Workload: "tcp_rr", Model: meter.Thread, Threads: 2},
		"response_bytes":                    {Workload: "tcp_stream", Response: 100},
		"pacing_bits_per_second":            {Workload: "tcp_stream", PacingBitsPerSec: 7},
		"bind_device":                       {Workload: "tcp_rr", BindDevice: true, Senders: []meter.Host{{NIC: "eth0"}}, Receivers: []meter.Host{{Agent: "a:1"}}},
		"congestion":                        {Workload: "udp_stream", Congestion: "reno"},
		"nodelay":                           {Workload: "unix_rr", NoDelay: true},
		"tos":                               {Workload: "vsock_rr", TOS: 4},
		"any_receive":                       {Workload: "tcp_rr", AnyReceive: true},
		"any_receive: transport":            {Workload: "udp_stream", AnyReceive: true},
		"bind_device: transport":            {Workload: "unix_rr", BindDevice: true, Senders: []meter.Host{{NIC: "lo"}}, Receivers: []meter.Host{{NIC: "lo"}}},
		"pacing_bits_per_second: transport": {Workload: "vsock_stream", PacingBitsPerSec: 8e6},
		"cpus":                              {Workload: "tcp_rr", SenderCPUs: []int{-1}},
		"rate_per_second":                   {Workload: "tcp_rr", Rate: 1e-9},
	} {
		_, err := meter.Run(context.Background(), c)
		if !errors.Is(err, meter.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
