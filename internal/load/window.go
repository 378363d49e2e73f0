package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/hist"
)

// Samples are the counts of every flow at the edges of one window, and of all
// flows together at the edges of its intervals. Index 0 is the opening edge.
type Samples struct {
	Due    []int64    // when each sample was due, CLOCK_MONOTONIC nanoseconds
	Before []int64    // when the reading of the sample began
	After  []int64    // when it was done
	Totals []Tally    // [sample] of all flows
	Edges  [2][]Tally // of each flow, at the opening and the closing edge
	// Latency is what was recorded in the window by all threads, nil where none is kept.
	Latency *hist.Hist

	received [][]uint64 // [sample][flow], where the window asks for it
	buckets  [3]*hist.Hist
}

// Interval is what all flows carried in one interval.
type Interval struct {
	Index   int     `json:"index"`         // from 0
	Start   float64 `json:"start_seconds"` // since the window opened, as read
	Seconds float64 `json:"seconds"`
	Tally
	// Latency of what ended in the interval, where it is kept.
	P50 int64 `json:"p50_nanoseconds,omitempty"`
	P99 int64 `json:"p99_nanoseconds,omitempty"`
	Max int64 `json:"max_nanoseconds,omitempty"`
}

// Observer is told how a window goes.
type Observer struct {
	// Edge is called at the opening (0) and the closing edge (1), right before the counts
	// are read.
	Edge func(i int) error
	// Tick, where not nil, is called after each interval. It must not take long.
	Tick func(Interval) error
}

// Window is when to sample: from Open for Length, every Interval.
type Window struct {
	Open     int64         `json:"open_nanoseconds"` // CLOCK_MONOTONIC; 0: at once
	Length   time.Duration `json:"length_nanoseconds"`
	Interval time.Duration `json:"interval_nanoseconds"` // the last one may be shorter
	PerFlow  bool          `json:"per_flow,omitempty"`   // what each flow received per interval, too
}

// MaxSamples bounds the memory of one window.
const MaxSamples = 100_000

// Validate reports the first field out of range, by its JSON name.
func (w Window) Validate() error {
	switch {
	case w.Open < 0 || w.Open > clock.Now()+MaxDuration.Nanoseconds():
		return fmt.Errorf("open_nanoseconds: %d, want 0 for at once or a time within %v", w.Open, MaxDuration)
	case w.Length <= 0 || w.Length > MaxDuration:
		return fmt.Errorf("length_nanoseconds: %v, want above 0 and at most %v", w.Length, MaxDuration)
	case w.Interval < time.Millisecond:
		return fmt.Errorf("interval_nanoseconds: %v, want at least 1ms", w.Interval)
	case w.Length/w.Interval >= MaxSamples:
		return fmt.Errorf("interval_nanoseconds: %v gives over %d samples", w.Interval, MaxSamples)
	}
	return nil
}

// ErrFlowEnded is returned by Sample when a flow ended inside the window.
var ErrFlowEnded = errors.New("a flow ended inside the window")

// Sample reads the counts at each edge. It blocks a thread for the window's length and
// allocates before it begins.
func (t *Table) Sample(ctx context.Context, w Window, o Observer) (*Samples, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if w.Open == 0 {
		w.Open = clock.Now()
	}
	s := t.newSamples(w)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	promptly(func() { err = t.take(ctx, s, o) })
	if err != nil {
		return nil, err
	}
	if t.hists != nil {
		s.Latency = s.buckets[1]
		if err := s.Latency.Sub(s.buckets[0]); err != nil {
			return s, err
		}
	}
	return s, t.loaded()
}

// take takes all samples when they are due.
func (t *Table) take(ctx context.Context, s *Samples, o Observer) error {
	last := len(s.Due) - 1
	for i, due := range s.Due {
		if err := sleepUntil(ctx, due); err != nil {
			return err
		}
		if i == 0 || i == last {
			if err := o.Edge(min(i, 1)); err != nil {
				return err
			}
		}
		t.read(s, i)
		if i == 0 || o.Tick == nil {
			continue
		}
		if err := o.Tick(s.interval(i - 1)); err != nil {
			return err
		}
	}
	return nil
}

// loaded reports the first flow that is not in its hot loop.
func (t *Table) loaded() error {
	for f := range t.slots {
		if state, errno := t.slots[f].State(); state != Loaded {
			return fmt.Errorf("%w: flow %d is %v (%v)", ErrFlowEnded, f, state, errno)
		}
	}
	return nil
}

// Carrying reports how many flows have carried payload, or are in their hot loop where
// that is all that is asked; a flow that ended is an error.
func (t *Table) Carrying(payload bool) (int, error) {
	n := 0
	for f := range t.slots {
		switch state, errno := t.slots[f].State(); {
		case state == Ended:
			return n, fmt.Errorf("flow %d ended before the window opened (%v)", f, errno)
		case state == Loaded && (!payload || t.slots[f].Read().Bytes() > 0):
			n++
		}
	}
	return n, nil
}

// read takes sample i. The buckets are the histograms of the opening edge (0), of the
// last sample (1) and of the one before it (2).
func (t *Table) read(s *Samples, i int) {
	last := len(s.Due) - 1
	s.Before[i] = clock.Now()
	for f := range t.slots {
		n := t.slots[f].Read()
		s.Totals[i].Add(n)
		switch i {
		case 0, last:
			s.Edges[min(i, 1)][f] = n
		}
		if s.received != nil {
			s.received[i][f] = n.Received
		}
	}
	s.After[i] = clock.Now()
	if t.hists == nil {
		return
	}
	s.buckets[1], s.buckets[2] = s.buckets[2], s.buckets[1]
	t.Latency(s.buckets[1])
	if i == 0 {
		*s.buckets[0] = *s.buckets[1]
	}
}

// interval is what was carried between samples i and i+1, which is the last one taken.
func (s *Samples) interval(i int) Interval {
	v := Interval{
		Index: i, Start: float64(s.Before[i]-s.Before[0]) / 1e9, Seconds: float64(s.Before[i+1]-s.Before[i]) / 1e9,
		Tally: s.Totals[i+1].Since(s.Totals[i]),
	}
	if s.buckets[2] == nil {
		return v
	}
	// The older reading is not needed again: turn it into the difference.
	h := s.buckets[2]
	for k := range h {
		h[k] = s.buckets[1][k] - h[k]
	}
	if h.Count() > 0 {
		v.P50, v.P99, v.Max = h.Quantile(0.5), h.Quantile(0.99), h.Max()
	}
	return v
}

// sleepUntil looks at ctx between naps of at most a tenth of a second.
func sleepUntil(ctx context.Context, due int64) error {
	const nap = 100 * time.Millisecond
	for ctx.Err() == nil && due-clock.Now() > 2*nap.Nanoseconds() {
		clock.SleepUntil(clock.Now() + nap.Nanoseconds())
	}
	if ctx.Err() == nil {
		clock.SleepUntil(due)
	}
	return context.Cause(ctx)
}

func (t *Table) newSamples(w Window) *Samples {
	s := &Samples{}
	end := w.Open + w.Length.Nanoseconds()
	for due := w.Open; due < end; due += w.Interval.Nanoseconds() {
		s.Due = append(s.Due, due)
	}
	s.Due = append(s.Due, end)
	n := len(s.Due)
	s.Before, s.After, s.Totals = make([]int64, n), make([]int64, n), make([]Tally, n)
	s.Edges = [2][]Tally{make([]Tally, t.Len()), make([]Tally, t.Len())}
	if w.PerFlow {
		s.received = make([][]uint64, n)
		for i := range n {
			s.received[i] = make([]uint64, t.Len())
		}
	}
	if t.hists != nil {
		s.buckets = [3]*hist.Hist{hist.New(), hist.New(), hist.New()}
	}
	return s
}
