package experiment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// fill derives the record's figures from what the hosts saw.
func fill(rec *trial.Trial, server, client load.Spec, m agent.Measured, sent, received []load.End) {
	rec.Started, rec.WindowSeconds = m.Started, m.Seconds
	rec.CPU, rec.Counters = m.CPU, m.Counters
	rec.Knobs = append(rec.Knobs, m.Knobs...)
	rec.Warnings = append(rec.Warnings, m.Warnings...)
	var bytes, messages uint64
	for i, n := range m.Flows {
		f := flow(server.Flows[i], client.Flows[i], n)
		for _, e := range sent {
			if e.ID == f.ID {
				f.SendBufferBytes, f.NoDelay = e.Socket.SendBufferBytes, e.Socket.NoDelay
				f.CongestionControl, f.Retransmits = e.Socket.Congestion, e.Socket.Retransmits
				f.Sender = sender(e.Socket)
			}
		}
		for _, e := range received {
			if e.ID == f.ID {
				f.ReceiveBufferBytes = e.Socket.ReceiveBufferBytes
			}
		}
		bytes += f.Bytes
		messages += f.Messages
		rec.Flows = append(rec.Flows, f)
	}
	if m.Seconds > 0 {
		rec.ThroughputBitsPerSecond = float64(bytes) * 8 / m.Seconds
		rec.MessagesPerSecond = float64(messages) / m.Seconds
	}
	scale(rec, bytes)
	rec.Warnings = append(rec.Warnings, flowWarnings(whole(rec.Flows, m.Seconds))...)
	rec.Warnings = append(rec.Warnings, dropWarnings(rec.Counters)...)
}

// sender is nil where the kernel did not say how long the sender was busy.
func sender(s load.SocketInfo) *trial.Sender {
	if s.BusyMicroseconds == 0 {
		return nil
	}
	busy := float64(s.BusyMicroseconds)
	return &trial.Sender{
		BusySeconds: busy / 1e6, ReceiveWindow: float64(s.WindowMicroseconds) / busy, SendBuffer: float64(s.SendBufferMicroseconds) / busy,
		RTTSeconds: float64(s.RTTMicroseconds) / 1e6, SegmentBytes: int(s.MaxSegmentBytes), CongestionWindow: int(s.CongestionWindow),
	}
}

func flow(server, client load.FlowSpec, n load.Count) trial.Flow {
	f := trial.Flow{
		ID: server.ID, NIC: server.NIC, ServerCPU: server.CPU, ClientCPU: client.CPU,
		Bytes: n.Received, Messages: n.ReceivedMessages, EdgeSkewNanoseconds: n.EdgeSkew.Nanoseconds(),
		IntervalSeconds: n.IntervalSeconds, IntervalBytes: n.IntervalBytes,
	}
	if n.Seconds > 0 {
		f.ThroughputBitsPerSecond = float64(n.Received) * 8 / n.Seconds
	}
	return f
}

// scale derives the paper's metric: throughput divided by the utilisation that
// it took, which is what all CPUs could carry if they did nothing else.
func scale(rec *trial.Trial, bytes uint64) {
	cpu := rec.CPU
	kibibytes := float64(bytes) / 1024
	// CPU time is over the probe's own edges, bytes over the sampler's: compare rates.
	seconds := float64(cpu.Online) * rec.WindowSeconds * 1e9
	if cpu.Utilization > 0 {
		rec.ScaledToCPU = rec.ThroughputBitsPerSecond / cpu.Utilization
		if kibibytes > 0 {
			rec.ServiceDemand = cpu.Utilization * seconds / kibibytes
		}
	}
	if cpu.ServerUtilization > 0 {
		rec.ServerScaledToCPU = rec.ThroughputBitsPerSecond / cpu.ServerUtilization
		if kibibytes > 0 {
			rec.ServerServiceDemand = cpu.ServerUtilization * seconds / kibibytes
		}
	}
}

// Thresholds of the warnings about flows.
const (
	skewedBelow = 0.5 // of the mean of all flows
	driftAbove  = 0.2 // relative difference between the window's halves
)

// flowWarnings says what a total would hide: flows that stood still, that got
// much less than the others, or that were not steady.
func flowWarnings(flows []trial.Flow) []trial.Warning {
	var out []trial.Warning
	var mean float64
	for _, f := range flows {
		mean += f.ThroughputBitsPerSecond / float64(len(flows))
	}
	for _, f := range flows {
		if n := countZero(f.IntervalBytes); n > 0 {
			out = append(out, trial.Warning{Code: "stalled-flow", Text: fmt.Sprintf("flow %d carried nothing in %d of %d intervals", f.ID, n, len(f.IntervalBytes))})
		}
		if f.ThroughputBitsPerSecond < skewedBelow*mean {
			out = append(out, trial.Warning{Code: "skewed-flow", Text: fmt.Sprintf("flow %d got %.0f %% of the flows' mean throughput", f.ID, 100*f.ThroughputBitsPerSecond/mean)})
		}
	}
	if d := drift(flows); d > driftAbove {
		out = append(out, trial.Warning{Code: "not-steady", Text: fmt.Sprintf("the halves of the window differ by %.0f %%: a longer ramp-up or window is needed", 100*d)})
	}
	return out
}

// whole leaves out the last interval where the window, of that many seconds, ended
// within it: what it carried doesn't compare with the others.
func whole(flows []trial.Flow, seconds float64) []trial.Flow {
	out := slices.Clone(flows)
	for i := range out {
		f := &out[i]
		if n := len(f.IntervalBytes); n > 0 && seconds < (float64(n)-0.1)*f.IntervalSeconds {
			f.IntervalBytes = f.IntervalBytes[:n-1]
		}
	}
	return out
}

// unseenWork tells where the receive work of the server's NICs can't be counted as the
// server's: figures scaled to its CPU time are then too high.
func unseenWork(nics int, p agent.Placed) []trial.Warning {
	if len(p.NICWork) >= nics {
		return nil
	}
	return []trial.Warning{{Code: "unseen-nic-work", Text: fmt.Sprintf(
		"the kernel shows %d NAPI threads for the server's %d NICs: the receive work of the others is not counted as the server's CPU time", len(p.NICWork), nics)}}
}

// dropWarnings tells of packets that the host threw away: what TCP sent again for
// them is part of the CPU time, not of the throughput.
func dropWarnings(counters map[string]uint64) []trial.Warning {
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		if n := counters[name]; n > 0 && (strings.HasSuffix(name, ".softnet.dropped") || strings.HasSuffix(name, ".rx_dropped") || strings.HasSuffix(name, ".ring_dropped")) {
			lost = append(lost, fmt.Sprintf("%s %d", name, n))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return []trial.Warning{{Code: "drops", Text: "packets were dropped in the window: " + strings.Join(lost, ", ")}}
}

func countZero(v []uint64) int {
	n := 0
	for _, b := range v {
		if b == 0 {
			n++
		}
	}
	return n
}

// drift is the relative difference of all flows' bytes between the halves of
// the window, by intervals of equal length (see whole).
func drift(flows []trial.Flow) float64 {
	var first, second float64
	for _, f := range flows {
		v := f.IntervalBytes
		half := len(v) / 2
		if half < 2 {
			return 0
		}
		// Where the count is odd the last one is left out.
		for _, b := range v[:half] {
			first += float64(b)
		}
		for _, b := range v[half : 2*half] {
			second += float64(b)
		}
	}
	if first+second == 0 {
		return 0
	}
	return 2 * max(first-second, second-first) / (first + second)
}

// disturbed reports whether strangers or the hypervisor took more than limit of
// the CPUs' time in the window, and how much.
func disturbed(cpu trial.CPU, limit float64) (string, bool) {
	total := float64(cpu.Online) * cpu.WindowSeconds
	if total <= 0 {
		return "", false
	}
	if s := cpu.Groups["stranger"] / total; s > limit {
		who := ""
		if i := slices.IndexFunc(cpu.Strangers, func(s trial.Stranger) bool { return s.Seconds > 0 }); i >= 0 {
			who = fmt.Sprintf(", most by %s (pid %d)", cpu.Strangers[i].Comm, cpu.Strangers[i].PID)
		}
		return fmt.Sprintf("strangers used %.1f %% of the CPUs%s; the limit is %.1f %%", 100*s, who, 100*limit), true
	}
	var steal float64
	for _, c := range cpu.PerCPU {
		steal += c.Steal
	}
	if s := steal / total; s > limit {
		return fmt.Sprintf("the hypervisor stole %.1f %% of the CPUs; the limit is %.1f %%", 100*s, 100*limit), true
	}
	return "", false
}
