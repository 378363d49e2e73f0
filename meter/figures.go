package meter

import (
	"slices"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Up to maxFlowRecords flows of a run each is recorded by itself; up to maxFlowCounts the hosts tell what
// each carried, for the fairness: both ends of a flow or none.
const (
	maxFlowRecords = 1024
	maxFlowCounts  = 1 << 14
)

// figures derives what was carried in a window of so many seconds, and what it cost. Each host's counts are
// over its own reading of the window, so their rates are added.
func (f *fleet) figures(got map[*station]agent.Measured, seconds float64) Figures {
	out := Figures{Seconds: seconds}
	var sent, awaited float64
	for s, m := range got {
		if m.Seconds <= 0 {
			continue
		}
		t := m.Total
		rate := func(n uint64) float64 { return float64(n) / m.Seconds }
		if s.Role == receiver {
			out.BitsPerSecond += 8 * rate(t.Received)
			out.MessagesPerSecond += rate(t.ReceivedMessages)
		} else {
			out.ReverseBitsPerSecond += 8 * rate(t.Received)
			out.SentBitsPerSecond += 8 * rate(t.Sent)
		}
		if s.spec.Role == load.Client && f.config.Answers() {
			out.TransactionsPerSecond += rate(t.Transactions)
			awaited += float64(t.Transactions)
		}
		out.DatagramsPerSecond += rate(t.Datagrams)
		out.Lost += t.Lost
		out.Reordered += t.Reordered
		out.JitterNanoseconds = max(out.JitterNanoseconds, t.Jitter)
		if !f.config.Answers() { // where the transactions count, which are datagrams of both ends
			awaited += float64(t.Datagrams)
		}
		sent += float64(t.Lost)
	}
	if out.Lost > 0 {
		out.LostShare = sent / (sent + awaited)
	}
	if latency := latencies(got); latency != nil {
		p := latency.Percentiles()
		out.Latency = &p
	}
	f.cost(&out, got)
	return out
}

// latencies is what all hosts recorded, nil where they recorded none.
func latencies(got map[*station]agent.Measured) *hist.Hist {
	out := hist.New()
	for _, m := range got {
		if m.Seconds > 0 && m.Latency != nil {
			out.Merge(m.Latency)
		}
	}
	if out.Count() == 0 {
		return nil
	}
	return out
}

// cost is the CPU time of all machines, without that of strangers where it is known exactly. It
// is over the probes' own edges; rates are compared, not sums. There is none where a
// host was cut off: its rates and the CPU time are of different times.
func (f *fleet) cost(out *Figures, got map[*station]agent.Measured) {
	cpus := 0.0 // kept busy
	machines, told := 0, 0
	for _, s := range f.stations {
		if s.cut {
			return
		}
		machines = max(machines, s.machine+1)
		if m, ok := got[s]; ok && s.measures && m.CPU.Online > 0 {
			cpus += m.CPU.Utilization * float64(m.CPU.Online)
			if m.CPU.Exact && m.CPU.WindowSeconds > 0 {
				cpus -= m.CPU.Groups["stranger"] / m.CPU.WindowSeconds
			}
			told++
		}
	}
	if told < machines || cpus <= 0 || out.Seconds <= 0 {
		return
	}
	out.CPUSeconds = cpus * out.Seconds
	both := out.BitsPerSecond + out.ReverseBitsPerSecond
	out.ScaledToCPU = both / cpus
	out.TransactionsPerCPU = out.TransactionsPerSecond / cpus
	if both > 0 {
		out.ServiceDemand = cpus * 1e9 / (both / 8 / 1024)
	}
}

// result puts everything together.
func (f *fleet) result(m *measured, ends map[*station]map[int]load.End) *Result {
	r := &Result{
		Schema: SchemaVersion, Started: m.began, Config: *f.config, Rig: f.kind, Complete: f.lost == nil,
		Estimate: m.estimate, Windows: m.windows,
	}
	whole := f.whole(m)
	seconds := 0.0
	for _, w := range m.windows {
		seconds += w.Seconds
	}
	r.Figures = f.figures(whole, seconds)
	r.LatencyHistogram = latencies(whole)
	f.machines(r, m)
	for _, s := range f.stations {
		w := whole[s]
		s.Total, s.Counters = w.Total, w.Counters
		r.Hosts = append(r.Hosts, s.HostResult)
	}
	f.flows(r, whole, ends)
	f.warn(r, m, ends)
	r.Warnings = slices.Concat(r.Warnings, f.warnings.list)
	return r
}

// whole adds up what each host measured in all windows.
func (f *fleet) whole(m *measured) map[*station]agent.Measured {
	out := map[*station]agent.Measured{}
	for _, got := range m.raw {
		for s, w := range got {
			sum, ok := out[s]
			if !ok {
				w.Warnings, w.Flows = slices.Clone(w.Warnings), slices.Clone(w.Flows)
				if w.Latency != nil {
					h := *w.Latency
					w.Latency = &h
				}
				out[s] = w
				continue
			}
			sum.Total.Add(w.Total)
			sum.Flows = addFlows(sum.Flows, w.Flows)
			switch {
			case w.Latency == nil:
			case sum.Latency == nil:
				h := *w.Latency
				sum.Latency = &h
			default:
				sum.Latency.Merge(w.Latency)
			}
			counters := map[string]uint64{}
			for _, from := range []map[string]uint64{sum.Counters, w.Counters} {
				for name, n := range from {
					counters[name] += n
				}
			}
			sum.Counters = counters
			sum.CPU = together(sum.CPU, w.CPU)
			sum.Seconds += w.Seconds
			sum.Warnings = append(sum.Warnings, w.Warnings...)
			out[s] = sum
		}
	}
	return out
}

// addFlows adds the counts of a later window to those so far, by the flows' IDs: what
// an agent returns, and in which order, is its own affair.
func addFlows(sum, later []load.Count) []load.Count {
	at := make(map[int]int, len(sum))
	for i := range sum {
		at[sum[i].ID] = i
	}
	for _, n := range later {
		i, known := at[n.ID]
		if !known {
			at[n.ID] = len(sum)
			sum = append(sum, n)
			continue
		}
		sum[i].Tally.Add(n.Tally)
		sum[i].Seconds += n.Seconds
	}
	return sum
}

// together is the CPU time of two windows: times add up, shares are weighted by the
// windows' lengths.
func together(a, b trial.CPU) trial.CPU {
	if a.WindowSeconds+b.WindowSeconds <= 0 {
		return a
	}
	share := func(x, y float64) float64 {
		return (x*a.WindowSeconds + y*b.WindowSeconds) / (a.WindowSeconds + b.WindowSeconds)
	}
	a.Utilization, a.TaskUtilization = share(a.Utilization, b.Utilization), share(a.TaskUtilization, b.TaskUtilization)
	a.ServerUtilization = share(a.ServerUtilization, b.ServerUtilization)
	a.ClosureError = max(a.ClosureError, b.ClosureError)
	a.Exact = a.Exact && b.Exact
	groups := map[string]float64{}
	for _, g := range []map[string]float64{a.Groups, b.Groups} {
		for name, t := range g {
			groups[name] += t
		}
	}
	a.Groups = groups
	a.PerCPU = slices.Clone(a.PerCPU)
	for i := range a.PerCPU {
		if i < len(b.PerCPU) && b.PerCPU[i].CPU == a.PerCPU[i].CPU {
			x, y := &a.PerCPU[i], b.PerCPU[i]
			x.User, x.System, x.SoftIRQ, x.IRQ = x.User+y.User, x.System+y.System, x.SoftIRQ+y.SoftIRQ, x.IRQ+y.IRQ
			x.Idle, x.IdleBusy, x.IOWait, x.Steal = x.Idle+y.Idle, x.IdleBusy+y.IdleBusy, x.IOWait+y.IOWait, x.Steal+y.Steal
		}
	}
	a.WindowSeconds += b.WindowSeconds
	return a
}

// machines are the CPUs that the hosts share.
func (f *fleet) machines(r *Result, m *measured) {
	whole := f.whole(m)
	for _, s := range f.stations {
		for len(r.Machines) <= s.machine {
			r.Machines = append(r.Machines, Machine{})
		}
		at := &r.Machines[s.machine]
		at.Hosts = append(at.Hosts, s.Name)
		if s.measures {
			at.Kernel, at.Model, at.CPU = s.facts.KernelRelease, s.facts.CPUModel, whole[s].CPU
		}
	}
}
