package ustack

import (
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// TestInitialSequenceNumbers holds RFC 6528: the numbers of one flow's name grow by
// 250,000 a second from one life to the next, those of others say nothing about them,
// and another stack has others.
func TestInitialSequenceNumbers(t *testing.T) {
	a, b := &Stack{secret: [2]uint64{1, 2}}, &Stack{secret: [2]uint64{1, 3}}
	k := flowKey{local: wire.Addr{1}, remote: wire.Addr{2}, localPort: 1, remotePort: 2}
	first := a.isn(&k, 0)
	for _, d := range []time.Duration{4 * time.Microsecond, time.Second, time.Hour} {
		if grown := a.isn(&k, int64(d)) - first; grown != uint32(d/(4*time.Microsecond)) {
			t.Errorf("after %v the numbers have grown by %d", d, grown)
		}
	}
	if b.isn(&k, 0) == first {
		t.Error("the secret changes nothing")
	}
	seen := map[uint32]bool{}
	for i := range 1000 {
		k.localPort = uint16(i)
		seen[a.isn(&k, 0)>>12] = true // neighbours would share their upper bits
		k.remote[3]++
		seen[a.isn(&k, 0)>>12] = true
	}
	if len(seen) < 1990 {
		t.Errorf("2000 flows have %d beginnings", len(seen))
	}
	if a.isn(&k, 0) == a.timestampOffset(&k) {
		t.Error("timestamps tell the sequence number")
	}
}
