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

// salvage makes a window of the intervals that all hosts told of, where none has told what it
// measured in the whole one, and there is no window before.
func (f *fleet) salvage(m *measured, intervals []Interval) {
	w := Window{}
	for _, i := range intervals {
		if i.Hosts != len(f.stations) {
			continue
		}
		w.Intervals = append(w.Intervals, i)
		w.Seconds += i.Seconds
		w.BitsPerSecond += i.BitsPerSecond * i.Seconds
		w.ReverseBitsPerSecond += i.ReverseBitsPerSecond * i.Seconds
		w.TransactionsPerSecond += i.TransactionsPerSecond * i.Seconds
	}
	if len(m.windows) > 0 || w.Seconds <= 0 {
		return
	}
	w.BitsPerSecond /= w.Seconds
	w.ReverseBitsPerSecond /= w.Seconds
	w.TransactionsPerSecond /= w.Seconds
	m.windows, m.raw = append(m.windows, w), append(m.raw, map[*station]agent.Measured{})
	f.warnings.add("cut-off", "the window was cut off: rates are those of its %d whole intervals; what hosts tell at its end (latencies over all of it, CPU time, each flow's share, drops) is not known", len(w.Intervals))
}
