package ustack_test

import (
	"io"
	"sync/atomic"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// TestLayersAreCounted holds what passes from layer to layer against what must be: with
// frames one by one TCP is called for each, gathered it is not called more often; the bytes
// that are copied to the reader are those that were read.
func TestLayersAreCounted(t *testing.T) {
	for name, tech := range map[string]ustack.Techniques{
		"one-by-one": {Gather: 1, Buffers: frame.Single}, "gathered": {Gather: 64},
		"in reader": {Gather: 64, Checksum: ustack.InReader},
	} {
		t.Run(name, func(t *testing.T) {
			var copied atomic.Int64
			around := func(cfg *ustack.Config) {
				cfg.AroundCopy = func(_ bool, plain func(dst, src []byte) int) func(dst, src []byte) int {
					return func(dst, src []byte) int {
						n := plain(dst, src)
						copied.Add(int64(n))
						return n
					}
				}
			}
			da, db, err := pipe.New(pipe.Config{})
			if err != nil {
				t.Fatal(err)
			}
			a, b := stack(t, da, hostA, hostA6), stack(t, db, hostB, hostB6, with(tech), around)
			from, to := connect(t, a, b, hostB)
			const size = 1 << 20
			go func() {
				_, _ = from.Write(make([]byte, size))
				_ = from.Close()
			}()
			if n, err := io.Copy(io.Discard, struct{ io.Reader }{to}); n != size || err != nil {
				t.Fatalf("read %d bytes, %v", n, err)
			}
			if copied.Load() != size {
				t.Errorf("%d bytes were copied around, %d read", copied.Load(), size)
			}
			n := b.Counters()
			segments, calls := n["TcpInSegs"], n["UstackTCPCalls"]
			if n["UstackInMerged"]+calls > segments || calls == 0 {
				t.Errorf("%d segments, %d merged, %d calls of TCP", segments, n["UstackInMerged"], calls)
			}
			if tech.Gather == 1 && n["UstackInMerged"] > 0 {
				t.Errorf("%d segments merged, one by one", n["UstackInMerged"])
			}
			if n["UstackDeliveries"] == 0 || n["UstackWakeups"] > n["UstackDeliveries"] || n["UstackSleeps"] >= n["UstackReceiveCalls"] {
				t.Errorf("counters %v", n)
			}
			// Of the stack's own pool are the frames that it sends; those that it receives
			// are of the other's.
			if sent := n["IpOutRequests"]; n["UstackFrames"] < sent || n["UstackFrameTakes"] < n["UstackFrames"] {
				t.Errorf("%d packets sent in %d frames of %d takes", sent, n["UstackFrames"], n["UstackFrameTakes"])
			}
			if allocs := n["UstackFrameAllocs"]; (tech.Buffers == frame.Single) != (allocs > 0 && allocs == n["UstackFrames"]) {
				t.Errorf("%d allocations for %d frames, buffers %v", allocs, n["UstackFrames"], tech.Buffers)
			}
		})
	}
}
