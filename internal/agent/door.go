package agent

import (
	"context"
	"errors"
	"time"
)

// handshakeSpacing is what lies between two handshakes while a session is served: each takes a
// third of a millisecond of a CPU, and whoever is let in is only told to wait.
const handshakeSpacing = 20 * time.Millisecond

// door lets guests shake hands one after the other, so that strangers can't take the CPUs from
// a load that is being measured.
type door struct {
	turn chan struct{} // holds the guest whose turn it is; the others come in their order
	last time.Time     // when the last one came; the turn's
}

var errCrowdedOut = errors.New("crowded out")

// wait returns when it is the guest's turn.
func (d *door) wait(ctx context.Context, g *guest) error {
	select {
	case d.turn <- struct{}{}:
	case <-g.crowded:
		return errCrowdedOut
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.turn }()
	t := time.NewTimer(time.Until(d.last.Add(handshakeSpacing)))
	defer t.Stop()
	select {
	case <-t.C:
		d.last = time.Now()
		return nil
	case <-g.crowded:
		return errCrowdedOut
	case <-ctx.Done():
		return ctx.Err()
	}
}
