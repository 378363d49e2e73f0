package stacklab

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
)

// Passage is what passed through the stack's layers in one run, and what it cost in
// calls and allocations.
type Passage struct {
	MTU     int     `json:"mtu_bytes"`
	Gather  int     `json:"gather_frames"` // that pass the layers together
	Buffers string  `json:"buffers"`       // how frames are come by
	Seconds float64 `json:"seconds"`

	Frames       uint64 `json:"frames"`        // received: each passes link and IP
	ReceiveCalls uint64 `json:"receive_calls"` // of the device
	Sleeps       uint64 `json:"sleeps"`        // the stack found nothing and waited
	TCPCalls     uint64 `json:"tcp_calls"`     // of TCP, with a segment or several merged
	Deliveries   uint64 `json:"deliveries"`    // of bytes to the socket
	Wakeups      uint64 `json:"wakeups"`       // of the reader
	Reads        uint64 `json:"reads"`         // of the application
	Acks         uint64 `json:"segments_sent"` // acknowledgements

	FrameTakes   uint64 `json:"frame_takes"`   // calls that took frames from the pool
	FramesTaken  uint64 `json:"frames_taken"`  // by them
	FrameAllocs  uint64 `json:"frame_allocs"`  // of memory for frames
	FrameReturns uint64 `json:"frame_returns"` // calls that gave frames back
	GoAllocs     uint64 `json:"go_allocs"`     // objects that this process allocated, for anything
	GoBytes      uint64 `json:"go_alloc_bytes"`
}

// receivedFrames is the stack's counter of frames from the device.
const receivedFrames = "IpInReceives"

// bufferWays are the levels of the technique, as the paper has them first.
var bufferWays = []string{"single", "bulk", "recycled"}

func (l *lab) layerCases() []oneCase {
	var out []oneCase
	for _, mtu := range []int{1500, 9000} {
		for _, gather := range []int{1, 64} {
			for _, buffers := range bufferWays {
				p := Passage{MTU: mtu, Gather: gather, Buffers: buffers}
				out = append(out, oneCase{
					what: fmt.Sprintf("calls at MTU %d, gathering %d, buffers %s", mtu, gather, buffers),
					run:  func(ctx context.Context) error { return l.layers(ctx, p) },
				})
			}
		}
	}
	return out
}

// edge is all counts at one moment.
type edge struct {
	at             time.Time
	counters       map[string]uint64
	reads          uint64
	objects, bytes uint64
}

var allocations = []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}

func (l *lab) layers(ctx context.Context, p Passage) error {
	var t ustack.Techniques
	for name, value := range map[string]string{"gather": strconv.Itoa(p.Gather), "buffers": p.Buffers} {
		if err := t.Set(name, value); err != nil {
			return err
		}
	}
	s, err := l.start(ctx, p.MTU, t, nil)
	if err != nil {
		return err
	}
	var edges []edge
	err = l.measure(ctx, s, func() {
		metrics.Read(allocations)
		edges = append(edges, edge{
			counters: s.stack.Counters(), reads: s.reads.Load(), at: time.Now(),
			objects: allocations[0].Value.Uint64(), bytes: allocations[1].Value.Uint64(),
		})
	})
	if err != nil {
		_ = s.stop()
		return err
	}
	if err := s.stop(); err != nil {
		return err
	}
	a, b := edges[0], edges[1]
	d := func(name string) uint64 { return b.counters[name] - a.counters[name] }
	p.Seconds = b.at.Sub(a.at).Seconds()
	p.Frames, p.ReceiveCalls, p.Sleeps = d(receivedFrames), d("UstackReceiveCalls"), d("UstackSleeps")
	p.TCPCalls, p.Deliveries, p.Wakeups, p.Acks = d("UstackTCPCalls"), d("UstackDeliveries"), d("UstackWakeups"), d("TcpOutSegs")
	p.FrameTakes, p.FramesTaken, p.FrameAllocs, p.FrameReturns = d("UstackFrameTakes"), d("UstackFrames"), d("UstackFrameAllocs"), d("UstackFrameReturns")
	p.Reads, p.GoAllocs, p.GoBytes = b.reads-a.reads, b.objects-a.objects, b.bytes-a.bytes
	if p.Frames == 0 {
		return errors.New("the kernel's stream stood still: no frame arrived for seconds; see `dmesg`, and try again")
	}
	l.report.Layers = append(l.report.Layers, p)
	return nil
}
