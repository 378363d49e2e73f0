package agent

import (
	"context"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
)

// clockExchanges is how many exchanges one comparison of clocks makes.
const clockExchanges = 16

// ClockReading is how an agent's CLOCK_MONOTONIC stood to ours at one time. Clocks of two
// hosts drift apart, by NTP's leave as much as 500 us a second (adjtimex(2)), in practice a
// few: read again where it matters.
type ClockReading struct {
	At     int64         `json:"at_nanoseconds"`     // ours, when it was read
	Offset time.Duration `json:"offset_nanoseconds"` // the agent's minus ours
	// Uncertainty bounds the error of Offset, whatever the paths there and back took: half of
	// the quickest exchange's round trip.
	Uncertainty time.Duration `json:"uncertainty_nanoseconds"`
	// BootID is the same for all who share one clock, if they share a time namespace too;
	// "" where the agent's kernel does not show it.
	BootID string `json:"boot_id,omitempty"`
}

// clockTold is the result of the call "clock".
type clockTold struct {
	Monotonic int64  `json:"monotonic_nanoseconds"`
	BootID    string `json:"boot_id,omitempty"`
}

func (s *session) clock(context.Context, none) (clockTold, error) {
	boot := s.root.BootID()
	return clockTold{Monotonic: clock.Now(), BootID: boot}, nil
}

// Clock compares the agent's clock with ours: of a few exchanges it keeps the quickest.
// It takes as many round trips and belongs outside of a window.
func (c *Client) Clock(ctx context.Context) (ClockReading, error) {
	var best ClockReading
	for i := range clockExchanges {
		sent := clock.Now()
		told, err := invoke[clockTold](ctx, c, "clock", none{})
		if err != nil {
			return ClockReading{}, err
		}
		half := (clock.Now() - sent + 1) / 2
		if i > 0 && half >= best.Uncertainty.Nanoseconds() {
			continue
		}
		best = ClockReading{At: sent + half, Offset: time.Duration(told.Monotonic - sent - half), Uncertainty: time.Duration(half), BootID: told.BootID}
	}
	return best, nil
}
