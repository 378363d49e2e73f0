package meter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// measured is what the hosts measured in all windows.
type measured struct {
	began    time.Time
	opened   int64 // the first window, by our clock
	windows  []Window
	raw      []map[*station]agent.Measured // of each window
	estimate *Estimate
	cut      bool // a host told no whole last window
}

// measure measures one window, or as many as the confidence needs. It stops where a
// host is lost (f.lost) and returns what there is.
func (f *fleet) measure(ctx context.Context) *measured {
	c := f.config
	m := &measured{began: time.Now()}
	most, least := 1, 1
	if c.Confidence > 0 {
		most = max(1, int(c.MaxDuration/c.Duration))
		least = min(most, stats.MedianSamples(c.Confidence))
	}
	for len(m.windows) < most && f.lost == nil && ctx.Err() == nil {
		c.tell(Event{Phase: fmt.Sprintf("window %d", len(m.windows)+1)})
		f.window(ctx, m)
		if c.Confidence == 0 {
			continue
		}
		if e := f.judge(m); len(m.windows) >= least && e != nil && e.Reached {
			break
		}
	}
	if f.lost == nil && ctx.Err() != nil {
		f.lost = context.Cause(ctx)
	}
	if e := m.estimate; e != nil && !e.Reached {
		f.warnings.add("confidence", "after %d windows the %s is known to ±%.1f %% at %.1f %% confidence; ±%.1f %% at %.0f %% was asked for: raise the longest duration",
			len(m.windows), e.Metric, 100*e.RelativeHalfWidth(), 100*e.Confidence, 100*c.Within, 100*c.Confidence)
	}
	return m
}

// judge estimates the metric over the windows so far.
func (f *fleet) judge(m *measured) *Estimate {
	metric, of := metricOf(f.config)
	var xs []float64
	for i := range m.windows {
		xs = append(xs, of(&m.windows[i].Figures))
	}
	e, err := stats.Median(xs, f.config.Confidence)
	if err != nil {
		return nil
	}
	m.estimate = &Estimate{Metric: metric, Estimate: e, Reached: e.Confidence >= f.config.Confidence && e.RelativeHalfWidth() <= f.config.Within}
	return m.estimate
}

// metricOf is what a workload is about.
func metricOf(c *Config) (name string, of func(*Figures) float64) {
	if c.Answers() {
		return "transactions_per_second", func(f *Figures) float64 { return f.TransactionsPerSecond }
	}
	return "bits_per_second", func(f *Figures) float64 { return f.BitsPerSecond + f.ReverseBitsPerSecond }
}

// window measures one window on all hosts.
func (f *fleet) window(ctx context.Context, m *measured) {
	c := f.config
	at := clock.Now() + startLead.Nanoseconds()
	live := newTicker(f, at)
	got := map[*station]agent.Measured{}
	var mu sync.Mutex
	groups, perFlow := f.groups(), f.perFlow()
	_ = f.each(f.stations, func(s *station) error {
		watched, alive, done := s.attended(ctx, c.Interval)
		defer done()
		r, err := s.client.Measure(watched, agent.Measure{
			Window: load.Window{Open: s.there(at), Length: c.Duration, Interval: c.Interval, PerFlow: perFlow},
			Groups: groups[s.machine], CPU: s.measures, Quiet: len(f.pairs)*c.Flows > maxFlowCounts,
		}, func(i agent.Interval) {
			alive()
			live.take(s, i)
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil && ctx.Err() == nil:
			s.Error = err.Error()
			f.lost = errors.Join(f.lost, err)
		case err == nil:
			got[s] = r
			if r.Ended != "" {
				s.Error = r.Ended
				f.lost = errors.Join(f.lost, fmt.Errorf("%s: %s", s.Name, r.Ended))
			}
		}
		return nil
	})
	if m.opened == 0 {
		m.opened, m.began = at, time.Now().Add(-time.Duration(clock.Now()-at))
	}
	if len(got) == 0 && len(m.windows) > 0 {
		return // the windows before stand
	}
	w := Window{Start: float64(at-m.opened) / 1e9, Intervals: live.done(), Flows: f.flowIntervals(got)}
	if len(got) == 0 {
		w.Intervals = slices.DeleteFunc(w.Intervals, func(i Interval) bool { return i.Hosts < len(f.stations) })
	} else {
		_, _, w.SkewNanoseconds = common(f.stations, got)
	}
	for s := range got {
		w.UncertaintyNanoseconds = max(w.UncertaintyNanoseconds, s.ClockUncertainty)
	}
	m.cut = f.salvage(got, live)
	if len(got) == 0 {
		return
	}
	opened, closed, _ := common(f.stations, got)
	w.Figures = f.figures(got, float64(closed-opened)/1e9)
	m.windows, m.raw = append(m.windows, w), append(m.raw, got)
	c.tell(Event{Window: &w})
}

// groups tells the probe of each machine whose processes are whose.
func (f *fleet) groups() map[int]map[string][]int {
	out := map[int]map[string][]int{}
	for _, s := range f.stations {
		g := out[s.machine]
		if g == nil {
			g = map[string][]int{}
			out[s.machine] = g
		}
		g[s.Role] = append(g[s.Role], s.pids...)
		g["tool"] = append(g["tool"], s.hello.PID)
	}
	return out
}

// ticker puts the hosts' intervals together as they come.
type ticker struct {
	f      *fleet
	opened int64 // the window, by our clock
	mu     sync.Mutex
	list   []Interval
	told   map[*station]partial
}

func newTicker(f *fleet, opened int64) *ticker {
	return &ticker{f: f, opened: opened, told: map[*station]partial{}}
}

func (t *ticker) take(s *station, i agent.Interval) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i.Index < 0 || i.Index >= load.MaxSamples { // no index of a window
		return
	}
	for len(t.list) <= i.Index {
		t.list = append(t.list, Interval{})
	}
	part := t.told[s]
	part.add(i, s.there(t.opened))
	t.told[s] = part
	v := &t.list[i.Index]
	v.Start, v.Seconds = i.Start, i.Seconds
	if i.Seconds > 0 {
		rate := 8 * float64(i.Received) / i.Seconds
		if s.Role == receiver {
			v.BitsPerSecond += rate
		} else {
			v.ReverseBitsPerSecond += rate
		}
		if s.spec.Role == load.Client && t.f.config.Answers() {
			v.TransactionsPerSecond += float64(i.Transactions) / i.Seconds
		}
	}
	v.P50, v.P99, v.Max = max(v.P50, i.P50), max(v.P99, i.P99), max(v.Max, i.Max)
	if s.measures {
		for len(v.Utilization) <= s.machine {
			v.Utilization = append(v.Utilization, 0)
		}
		v.Utilization[s.machine] = i.Utilization
	}
	if v.Hosts++; v.Hosts == len(t.f.stations) {
		told := *v
		t.f.config.tell(Event{Interval: &told})
	}
}

func (t *ticker) done() []Interval {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}
