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
	var last map[uint32]uint64
	for row := 0; row < awaitInRow; {
		now, err := bytesByNamespace()
		if err != nil {
			return err
		}
		var grown uint64
		for ns, n := range now {
			grown += n - min(n, last[ns])
		}
		switch {
		case last == nil:
		case grown >= awaitBytes:
			row++
		default:
			row = 0
		}
		last = now
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

// bytesByNamespace is what IP has received in each namespace that there is now.
func bytesByNamespace() (map[uint32]uint64, error) {
	m, err := allNamespaces("/proc")
	if err != nil {
		return nil, err
	}
	defer m.close()
	out := map[uint32]uint64{}
	for inode, n := range m.inNet {
		if out[inode], err = m.bytes(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}
