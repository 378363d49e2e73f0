package meter

import (
	"context"
	"fmt"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
)

// hangGrace is how long a host may be silent beyond an interval of a window, before it
// counts as lost: time for a busy host to sample 100,000 flows and to answer.
const hangGrace = 10 * time.Second

// attended is a context for a host's part of a window, which ends where the host is silent
// for too long. alive is to be called at each sign of life, done at the end.
func (s *station) attended(ctx context.Context, interval time.Duration) (watched context.Context, alive, done func()) {
	patience := startLead + interval + hangGrace
	watched, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(patience, func() {
		cancel(fmt.Errorf("%s: %w: not a word for %v in mid-window: is it stopped, or cut off?", s.client.Name, agent.ErrGone, patience))
	})
	return watched, func() { silent.Reset(patience) }, func() {
		silent.Stop()
		cancel(nil)
	}
}

// salvage puts in for each host that told no whole window (its session ended in it) what it
// told of whole intervals, over their time. It reports whether any host was cut off.
func (f *fleet) salvage(got map[*station]agent.Measured, live *ticker) bool {
	live.mu.Lock()
	defer live.mu.Unlock()
	whole, intervals := len(got), 0
	for _, s := range f.stations {
		if _, ok := got[s]; ok {
			continue
		}
		s.cut = true
		part := live.told[s]
		if part.Seconds > 0 {
			got[s] = part.Measured
			intervals = max(intervals, part.intervals)
		}
		switch {
		case whole == 0: // below, for all at once
		case part.Seconds > 0:
			f.warnings.add("cut-off", "%s: it was lost in the window: its rates are those of the %.3g s of its %d whole intervals; what it would have told at the end (latencies over all of it, CPU time, each flow's share, drops) is not known", s.Name, part.Seconds, part.intervals)
		default:
			f.warnings.add("cut-off", "%s: it was lost in the window before it told of one whole interval: nothing of what it measured there is known", s.Name)
		}
	}
	if whole == 0 && intervals > 0 {
		f.warnings.add("cut-off", "the window was cut off: rates are those of its %d whole intervals; what hosts tell at its end (latencies over all of it, CPU time, each flow's share, drops) is not known", intervals)
	}
	return whole < len(f.stations)
}

// partial is what a host told of the whole intervals of a window so far.
type partial struct {
	agent.Measured
	intervals int
}

// add takes in an interval of the window that opened then, by the host's clock.
func (p *partial) add(i agent.Interval, opened int64) {
	if i.Seconds <= 0 {
		return
	}
	if p.intervals == 0 {
		p.Opened = opened + int64(i.Start*1e9)
	}
	p.Closed = opened + int64((i.Start+i.Seconds)*1e9)
	p.Seconds += i.Seconds
	p.Total.Add(i.Tally)
	p.intervals++
}
