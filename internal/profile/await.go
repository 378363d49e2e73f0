package profile

import (
	"context"
	"time"
)

// What Await takes for traffic: so many bytes in each of so many intervals in a row.
const (
	awaitInterval = 200 * time.Millisecond
	awaitBytes    = 20_000
	awaitInRow    = 3
)

// Await returns when IP receives at least 100 kB/s in the machine's network namespaces,
// those made meanwhile included, or when a channel is closed.
func Await(ctx context.Context, until <-chan struct{}) error {
	var last uint64
	for row := -1; row < awaitInRow; {
		m, err := allNamespaces("/proc")
		if err != nil {
			return err
		}
		now, err := m.read()
		m.close()
		if err != nil {
			return err
		}
		if row < 0 || now.bytes > last+awaitBytes {
			row++
		} else {
			row = 0
		}
		last = now.bytes
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-until:
			return nil
		case <-time.After(awaitInterval):
		}
	}
	return nil
}
