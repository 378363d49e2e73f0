package export

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/openmetrics"
	"github.com/stackmeter/stackmeter/meter"
)

// RunOpenMetrics writes the figures over all windows, the CPUs of each machine and the
// histogram of latencies as OpenMetrics text. What was not measured is left out.
func RunOpenMetrics(w io.Writer, r *meter.Result) error {
	var m openmetrics.Text
	m.Begin("stackmeter_run", "info", "", "What was run.")
	m.Sample(1, "name", r.Config.Name, "workload", r.Config.Workload, "rig", r.Rig, "engine", r.Config.Engine,
		"flows", strconv.Itoa(r.Config.Flows), "message_bytes", strconv.Itoa(r.Config.MessageBytes), "error", r.Error)
	m.Begin("stackmeter_run_complete", "gauge", "", "1: all hosts measured all windows; 0: see the label error of stackmeter_run_info.")
	m.Sample(map[bool]float64{true: 1}[r.Complete])
	m.Begin("stackmeter_run_start_seconds", "gauge", "seconds", "When the first window opened, seconds since 1970.")
	m.Sample(float64(r.Started.UnixMilli()) / 1e3)
	for _, g := range []struct {
		name, unit, help string
		value            float64
		always           bool
	}{
		{"window_seconds", "seconds", "Length of all windows together.", r.Seconds, true},
		{"received_bits_per_second", "bits_per_second", "Payload that arrived at the receivers.", r.BitsPerSecond, true},
		{"reverse_received_bits_per_second", "bits_per_second", "Payload that arrived at the senders.", r.ReverseBitsPerSecond, false},
		{"sent_bits_per_second", "bits_per_second", "Payload that the senders handed over.", r.SentBitsPerSecond, false},
		{"transactions_per_second", "transactions_per_second", "Transactions that ended.", r.TransactionsPerSecond, r.Config.Answers()},
		{"cpu_seconds", "seconds", "CPU time that was not halted, of all machines.", r.CPUSeconds, false},
		{"received_bits_per_cpu_second", "bits_per_cpu_second", "Payload both ways by the CPUs that were kept busy.", r.ScaledToCPU, false},
		{"lost_ratio", "ratio", "Datagrams, or requests, that were lost.", r.LostShare, r.Config.Transport() == "udp"},
	} {
		if g.value != 0 || g.always {
			m.Begin("stackmeter_run_"+g.name, "gauge", g.unit, g.help)
			m.Sample(g.value)
		}
	}
	machines(&m, r)
	if h := r.LatencyHistogram; h != nil {
		latencyBuckets(&m, h)
	}
	m.End()
	_, err := w.Write(m.Bytes())
	return err
}

func machines(m *openmetrics.Text, r *meter.Result) {
	begun := false
	for i := range r.Machines {
		at := &r.Machines[i]
		if at.CPU.Online == 0 {
			continue
		}
		if !begun {
			m.Begin("stackmeter_run_machine_utilization_ratio", "gauge", "ratio", "Share of all online CPUs that was not halted.")
			begun = true
		}
		m.Sample(at.CPU.Utilization, "machine", strconv.Itoa(i+1), "hosts", strings.Join(at.Hosts, ","), "kernel", at.Kernel)
	}
}

// latencyBuckets writes edges at which buckets of the histogram end, so that each
// count is exact: 2^k and 1.5 * 2^k ns. A record of exactly an edge counts above it.
func latencyBuckets(m *openmetrics.Text, h *hist.Hist) {
	m.Begin("stackmeter_run_latency_seconds", "histogram", "seconds", "Of transactions, or of paced messages.")
	for k := 10; k <= 34; k++ {
		for _, edge := range []int64{1 << k, 3 << (k - 1)} {
			m.Bucket(float64(edge)/1e9, float64(h.Below(edge)))
		}
	}
	n := float64(h.Count())
	m.Sum(n, math.Max(0, h.Mean()*n/1e9))
}
