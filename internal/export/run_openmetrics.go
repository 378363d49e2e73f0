package export

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/meter"
)

// metrics is an OpenMetrics 1.0 text in the making.
type metrics struct {
	bytes.Buffer
	family string
}

func (m *metrics) begin(family, kind, unit, help string) {
	m.family = family
	fmt.Fprintf(m, "# TYPE %s %s\n", family, kind)
	if unit != "" {
		fmt.Fprintf(m, "# UNIT %s %s\n", family, unit)
	}
	fmt.Fprintf(m, "# HELP %s %s\n", family, metricText.Replace(help))
}

// sample writes a sample; labels are names and values in turn.
func (m *metrics) sample(suffix string, value float64, labels ...string) {
	m.WriteString(m.family + suffix)
	for i := 0; i < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(m, `%s%s="%s"`, sep, labels[i], metricText.Replace(strings.ToValidUTF8(labels[i+1], "")))
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	fmt.Fprintf(m, " %s\n", strconv.FormatFloat(value, 'g', -1, 64))
}

var metricText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// RunOpenMetrics writes the figures over all windows, the CPUs of each machine and the
// histogram of latencies as OpenMetrics text. What was not measured is left out.
func RunOpenMetrics(w io.Writer, r *meter.Result) error {
	var m metrics
	m.begin("stackmeter_run", "info", "", "What was run.")
	m.sample("_info", 1, "name", r.Config.Name, "workload", r.Config.Workload, "rig", r.Rig, "engine", r.Config.Engine,
		"flows", strconv.Itoa(r.Config.Flows), "message_bytes", strconv.Itoa(r.Config.MessageBytes), "error", r.Error)
	m.begin("stackmeter_run_complete", "gauge", "", "1: all hosts measured all windows; 0: see the label error of stackmeter_run_info.")
	m.sample("", map[bool]float64{true: 1}[r.Complete])
	m.begin("stackmeter_run_start_seconds", "gauge", "seconds", "When the first window opened, seconds since 1970.")
	m.sample("", float64(r.Started.UnixMilli())/1e3)
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
			m.begin("stackmeter_run_"+g.name, "gauge", g.unit, g.help)
			m.sample("", g.value)
		}
	}
	machines(&m, r)
	if h := r.LatencyHistogram; h != nil {
		latencyBuckets(&m, h)
	}
	m.WriteString("# EOF\n")
	_, err := w.Write(m.Bytes())
	return err
}

func machines(m *metrics, r *meter.Result) {
	begun := false
	for i := range r.Machines {
		at := &r.Machines[i]
		if at.CPU.Online == 0 {
			continue
		}
		if !begun {
			m.begin("stackmeter_run_machine_utilization_ratio", "gauge", "ratio", "Share of all online CPUs that was not halted.")
			begun = true
		}
		m.sample("", at.CPU.Utilization, "machine", strconv.Itoa(i+1), "hosts", strings.Join(at.Hosts, ","), "kernel", at.Kernel)
	}
}

// latencyBuckets writes edges at which buckets of the histogram end, so that each
// count is exact: 2^k and 1.5 * 2^k ns. A record of exactly an edge counts above it.
func latencyBuckets(m *metrics, h *hist.Hist) {
	m.begin("stackmeter_run_latency_seconds", "histogram", "seconds", "Of transactions, or of paced messages.")
	for k := 10; k <= 34; k++ {
		for _, edge := range []int64{1 << k, 3 << (k - 1)} {
			m.sample("_bucket", float64(h.Below(edge)), "le", strconv.FormatFloat(float64(edge)/1e9, 'g', -1, 64))
		}
	}
	n := float64(h.Count())
	m.sample("_bucket", n, "le", "+Inf")
	m.sample("_count", n)
	m.sample("_sum", math.Max(0, h.Mean()*n/1e9))
}
