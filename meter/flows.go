package meter

import (
	"slices"
	"strings"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
)

// flows records each flow, where they are few, and how evenly they were served.
func (f *fleet) flows(r *Result, whole map[*station]agent.Measured, ends map[*station]map[int]load.End) {
	counts := map[*station]map[int]load.Count{}
	for s, w := range whole {
		counts[s] = map[int]load.Count{}
		for _, n := range w.Flows {
			counts[s][n.ID] = n
		}
	}
	var shares []float64
	for _, p := range f.pairs {
		for id := p.id; id < p.id+f.config.Flows; id++ {
			out, there := counts[p.sender][id]
			in, here := counts[p.receiver][id]
			if !there && !here {
				continue
			}
			flow := Flow{
				ID: id, Sender: p.sender.Name, Receiver: p.receiver.Name, AtSender: out.Tally, AtReceiver: in.Tally,
				SenderEnd: ends[p.sender][id].Socket, ReceiverEnd: ends[p.receiver][id].Socket,
				Error: strings.Join(slices.DeleteFunc([]string{ends[p.sender][id].Error, ends[p.receiver][id].Error}, func(s string) bool { return s == "" }), "; "),
			}
			if in.Seconds > 0 {
				flow.BitsPerSecond = 8 * float64(in.Received) / in.Seconds
			}
			r.Flows = append(r.Flows, flow)
			share := float64(in.Received + out.Received)
			if f.config.Answers() {
				connects := out
				if !f.config.clientSends() {
					connects = in
				}
				share = float64(connects.Transactions)
			}
			if there && here { // otherwise one end was lost, and its share is not known
				shares = append(shares, share)
			}
		}
	}
	if len(shares) > 1 {
		r.Fairness = fairness(shares)
	}
	if len(r.Flows) > maxFlowRecords {
		r.Flows = nil
	}
}

// Up to so many flows, and so many numbers of a window, what each flow received is recorded
// per interval.
const (
	maxFlowSeries       = 256
	maxFlowSeriesLength = 1 << 16
)

// perFlow reports whether what each flow received is recorded per interval.
func (f *fleet) perFlow() bool {
	flows := len(f.pairs) * f.config.Flows
	return !f.config.Answers() && flows <= maxFlowSeries && flows*int(f.config.Duration/f.config.Interval+1) <= maxFlowSeriesLength
}

// flowIntervals puts together what the two ends of each flow received per interval.
func (f *fleet) flowIntervals(got map[*station]agent.Measured) []FlowIntervals {
	if !f.perFlow() {
		return nil
	}
	series := map[*station]map[int][]uint64{}
	for s, m := range got {
		series[s] = map[int][]uint64{}
		for _, n := range m.Flows {
			series[s][n.ID] = n.IntervalBytes
		}
	}
	var out []FlowIntervals
	for _, p := range f.pairs {
		for id := p.id; id < p.id+f.config.Flows; id++ {
			v := FlowIntervals{ID: id, Received: series[p.receiver][id]}
			if f.config.Pattern() == "bidir" {
				v.Reverse = series[p.sender][id]
			}
			if v.Received != nil || v.Reverse != nil {
				out = append(out, v)
			}
		}
	}
	return out
}

func fairness(xs []float64) *Fairness {
	var sum, squares float64
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	if sum == 0 {
		return nil
	}
	n := float64(len(xs))
	s := slices.Clone(xs)
	slices.Sort(s)
	return &Fairness{Min: s[0] * n / sum, Median: s[len(s)/2] * n / sum, Max: s[len(s)-1] * n / sum, Jain: sum * sum / (n * squares)}
}

// Thresholds of warnings.
const (
	unfairBelow = 0.5 // of the mean share
	skewAbove   = time.Millisecond
	shortBelow  = 0.98 // of the window that all hosts shared
	strangersUp = 0.02 // of a machine's CPUs
)

// warn says what the figures hide.
func (f *fleet) warn(r *Result, m *measured, ends map[*station]map[int]load.End) {
	seen := map[string]bool{}
	for _, got := range m.raw {
		for _, s := range f.stations {
			for _, w := range got[s].Warnings {
				if text := s.Name + ": " + w.Text; !seen[w.Code+text] {
					seen[w.Code+text] = true
					f.warnings.add(w.Code, "%s", text)
				}
			}
		}
	}
	for i, w := range m.windows {
		switch {
		case w.SkewNanoseconds > w.UncertaintyNanoseconds+skewAbove.Nanoseconds():
			f.warnings.add("skewed-window", "the hosts' edges of the window at %.1f s were %v apart; only its common part counts for rates", w.Start, time.Duration(w.SkewNanoseconds))
		case w.Seconds < shortBelow*f.config.Duration.Seconds() && (!m.cut || i < len(m.windows)-1):
			f.warnings.add("short-window", "all hosts together measured %.3f s of a window of %v", w.Seconds, f.config.Duration)
		}
	}
	for _, s := range f.stations {
		if s.Paced > 0 {
			f.warnings.add("paced", "%s: its agent lets its load send at most %.0f bits/s: the throughput shows that bound", s.Name, s.Paced)
		}
		f.warnCopied(s, ends[s])
	}
	if q := r.Fairness; q != nil && q.Min < unfairBelow {
		f.warnings.add("skewed-flow", "the least served flow got %.0f %% of the flows' mean share, the best served %.0f %%", 100*q.Min, 100*q.Max)
	}
	if r.LostShare > 0 {
		f.warnings.add("lost", "%.3g %% of the datagrams, or requests, were lost", 100*r.LostShare)
	}
	for i, at := range r.Machines {
		if at.CPU.Online == 0 && !f.config.NoCPUTime {
			f.warnings.add("cpu-time", "no CPU time of machine %d (%s): no cost and no throughput scaled to CPU", i+1, strings.Join(at.Hosts, ", "))
			continue
		}
		if all := float64(at.CPU.Online) * at.CPU.WindowSeconds; at.CPU.Groups["stranger"] > strangersUp*all {
			who := ""
			if len(at.CPU.Strangers) > 0 {
				who = ", " + at.CPU.Strangers[0].Comm + " most"
			}
			cost := "the cost leaves their CPU time out"
			if !at.CPU.Exact {
				cost = "the cost has their CPU time in it, because this source can't tell it apart exactly"
			}
			f.warnings.add("strangers", "machine %d: processes that are no part of the run used %.1f %% of the CPUs%s: they took part of what was measured, and %s", i+1, 100*at.CPU.Groups["stranger"]/all, who, cost)
		}
	}
}

// warnCopied says where zero copy saved nothing.
func (f *fleet) warnCopied(s *station, ends map[int]load.End) {
	var copied uint64
	for _, e := range ends {
		copied += e.Socket.ZeroCopyCopied
	}
	if copied > 0 {
		f.warnings.add("zerocopy-copied", "%s: the kernel copied %d of the sends that asked for zero copy: it cannot be had over this path", s.Name, copied)
	}
}
