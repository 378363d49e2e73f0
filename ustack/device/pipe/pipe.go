// Package pipe is a link in memory between two stacks of the same process: frames
// pass from the pool of one end to the other without being copied.
package pipe

import (
	"fmt"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/wake"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Config describes a pipe. The zero Config is a link of one queue for IP packets of
// up to 1500 bytes, with checksums and segments made by the stack.
type Config struct {
	Link   ustack.Link
	MTU    int // bytes; 0: 1500
	Queues int // 0: 1. Queue i of one end leads to queue i of the other
	Depth  int // frames that a queue holds before it drops; 0: 1024

	// SegmentSize above 0 lets TCP payloads of up to so many bytes pass uncut and
	// without checksum, as between two virtual machines of a host.
	SegmentSize int
}

const (
	headersMax  = 14 + 40 + 60 // Ethernet, IPv6, TCP with all options
	ethernetLen = 14
)

// end is one end of a pipe.
type end struct {
	info   ustack.DeviceInfo
	queues []*queue
}

// queue holds the frames that travel towards its reader.
type queue struct {
	*wake.Sleeper
	peer  *queue
	depth int

	mu      sync.Mutex
	waiting frame.List
	closed  bool
}

// New makes a pipe and returns its two ends.
func New(cfg Config) (a, b ustack.Device, err error) {
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Depth == 0 {
		cfg.Depth = 1024
	}
	ends := [2]*end{}
	for i := range ends {
		info := ustack.DeviceInfo{
			Name: fmt.Sprintf("pipe%d", i), Link: cfg.Link, MTU: cfg.MTU, Queues: cfg.Queues,
			HWAddr:      [6]byte{2, 0, 0, 0, 0, byte(i + 1)},
			ReceiveSize: max(cfg.MTU+ethernetLen, cfg.SegmentSize+headersMax),
		}
		if cfg.SegmentSize > 0 {
			info.SegmentSize, info.SendChecksum = cfg.SegmentSize, true
		}
		ends[i] = &end{info: info}
	}
	for range cfg.Queues {
		var pair [2]*queue
		for i := range pair {
			s, err := wake.New()
			if err != nil {
				closeAll(ends[:])
				return nil, nil, fmt.Errorf("pipe: %w", err)
			}
			pair[i] = &queue{Sleeper: s, depth: cfg.Depth}
			ends[i].queues = append(ends[i].queues, pair[i])
		}
		pair[0].peer, pair[1].peer = pair[1], pair[0]
	}
	return ends[0], ends[1], nil
}

func closeAll(ends []*end) {
	for _, e := range ends {
		_ = e.Close()
	}
}

// Info implements ustack.Device.
func (e *end) Info() ustack.DeviceInfo { return e.info }

// Open implements ustack.Device.
func (e *end) Open(i int, _ *frame.Pool) (ustack.Queue, error) { return e.queues[i], nil }

// Close implements ustack.Device. Frames that the other end sends from now on are
// dropped.
func (e *end) Close() error {
	for _, q := range e.queues {
		_ = q.Close()
	}
	return nil
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range into {
		f := q.waiting.Pop()
		if f == nil {
			return i, nil
		}
		into[i] = f
	}
	return len(into), nil
}

// Send implements ustack.Queue.
func (q *queue) Send(frames []*frame.Frame) (int, error) {
	var dropped frame.List
	to := q.peer
	to.mu.Lock()
	was := to.waiting.N
	for _, f := range frames {
		if to.closed || to.waiting.N >= to.depth {
			dropped.Push(f)
			continue
		}
		to.waiting.Push(f)
	}
	wake := was == 0 && to.waiting.N > 0
	to.mu.Unlock()
	if wake {
		to.Wake()
	}
	sent := len(frames) - dropped.N
	frame.Free(dropped.Head)
	return sent, nil
}

// Wait implements ustack.Queue.
func (q *queue) Wait(timeout time.Duration) error {
	q.mu.Lock()
	left := q.waiting.N
	q.mu.Unlock()
	if left > 0 { // nobody wakes for what is there already
		return nil
	}
	return q.Sleeper.Wait(-1, timeout)
}

// Close implements ustack.Queue.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	left := q.waiting
	q.waiting = frame.List{}
	q.mu.Unlock()
	frame.Free(left.Head)
	return q.Sleeper.Close()
}
