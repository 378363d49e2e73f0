package stacklab

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun holds what a quick look sees against what must be, whatever the machine's speed.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	before, err := sysx.Affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	r, err := Run(t.Context(), Config{Quick: true}, func(done, total int, what string) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	after, err := sysx.Affinity(0)
	if err != nil || len(after) != len(before) {
		t.Errorf("afterwards this process may run on CPUs %v, before on %v (%v)", after, before, err)
	}
	if len(r.Layers) != 12 || steps != len(r.Layers)+len(r.Copies)+1 {
		t.Fatalf("%d runs of layers, %d of copies, %d steps", len(r.Layers), len(r.Copies), steps)
	}
	for _, c := range r.Copies {
		if c.Samples == 0 || c.Mean <= 0 || c.P10 > c.P50 || c.P50 > c.P90 || c.Nanoseconds <= 0 {
			t.Errorf("%+v", c)
		}
		if c.Aligned && c.SourceOffset%8 != 0 {
			t.Errorf("aligned, and payloads begin %d bytes into a line", c.SourceOffset)
		}
	}
	for _, p := range r.Layers {
		t.Logf("%+v", p)
		switch {
		case p.Gather == 1 && p.TCPCalls < p.Frames*9/10:
			t.Errorf("TCP was called %d times for %d frames one by one: %+v", p.TCPCalls, p.Frames, p)
		case p.Gather > 1 && (p.TCPCalls > p.Frames || p.ReceiveCalls == 0):
			t.Errorf("TCP was called %d times for %d frames gathered: %+v", p.TCPCalls, p.Frames, p)
		case p.Wakeups > p.Deliveries || p.Sleeps > p.ReceiveCalls || p.FrameTakes == 0:
			t.Errorf("%+v", p)
		}
		if p.Gather > 1 && p.FramesTaken < p.FrameTakes {
			t.Errorf("%d frames by %d calls of the pool", p.FramesTaken, p.FrameTakes)
		}
		// A few objects are the sampling's own.
		switch perFrame := float64(p.GoAllocs) / float64(p.Frames); p.Buffers {
		case "recycled":
			if p.FrameAllocs > 0 || p.GoAllocs > 3000 {
				t.Errorf("recycled frames, and %d allocations: %+v", p.GoAllocs, p)
			}
		case "single":
			if perFrame < 1.5 || p.FrameAllocs < p.Frames*9/10 {
				t.Errorf("%.2f allocations a frame, each on its own: %+v", perFrame, p)
			}
		case "bulk":
			if p.FrameAllocs == 0 || p.FrameAllocs > p.Frames/4 {
				t.Errorf("%d allocations in bulk for %d frames", p.FrameAllocs, p.Frames)
			}
		}
	}
}
