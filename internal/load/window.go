package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
)

// Samples are the counts of every flow at the edges of the intervals of one
// window. Index 0 is the opening edge.
type Samples struct {
	Due      []int64    // when each sample was due, CLOCK_MONOTONIC nanoseconds
	Before   []int64    // when the reading of the sample began
	After    []int64    // when it was done
	Bytes    [][]uint64 // [sample][flow]
	Messages [][]uint64
}

// Window is when to sample: from Open for Length, every Interval.
type Window struct {
	Open     int64         `json:"open_nanoseconds"` // CLOCK_MONOTONIC; 0: at once
	Length   time.Duration `json:"length_nanoseconds"`
	Interval time.Duration `json:"interval_nanoseconds"` // the last one may be shorter
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

// Sample reads all counts at each edge. The function edge is called at the
// opening (0) and the closing edge (1), right before the counts are read. It
// blocks a thread for the window's length and allocates before it begins.
func (t *Table) Sample(ctx context.Context, w Window, edge func(i int) error) (*Samples, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if w.Open == 0 {
		w.Open = clock.Now()
	}
	s := newSamples(w, t.Len())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	last := len(s.Due) - 1
	for i, due := range s.Due {
		if err := sleepUntil(ctx, due); err != nil {
			return nil, err
		}
		if i == 0 || i == last {
			if err := edge(min(i, 1)); err != nil {
				return nil, err
			}
		}
		s.Before[i] = clock.Now()
		for f := range t.slots {
			s.Bytes[i][f], s.Messages[i][f] = t.slots[f].Read()
		}
		s.After[i] = clock.Now()
	}
	for f := range t.slots {
		if state, errno := t.slots[f].State(); state != Loaded {
			return s, fmt.Errorf("%w: flow %d is %v (%v)", ErrFlowEnded, f, state, errno)
		}
	}
	return s, nil
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

func newSamples(w Window, flows int) *Samples {
	s := &Samples{}
	end := w.Open + w.Length.Nanoseconds()
	for due := w.Open; due < end; due += w.Interval.Nanoseconds() {
		s.Due = append(s.Due, due)
	}
	s.Due = append(s.Due, end)
	n := len(s.Due)
	s.Before, s.After = make([]int64, n), make([]int64, n)
	s.Bytes, s.Messages = make([][]uint64, n), make([][]uint64, n)
	for i := range n {
		s.Bytes[i], s.Messages[i] = make([]uint64, flows), make([]uint64, flows)
	}
	return s
}
