// Package fault wraps a device to make it a bad one: it loses, repeats, corrupts,
// delays and reorders frames both ways, the same ones each time for a seed. It is for
// tests.
package fault

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Config says how bad a device is. Shares are of the frames each way.
type Config struct {
	Seed      uint64
	Loss      float64
	Duplicate float64
	Corrupt   float64       // one bit is turned, of frames whose checksum will be verified
	Delay     time.Duration // of all frames
	Jitter    time.Duration // added to the delay of Reorder frames, up to so much
	Reorder   float64
}

// New wraps a device. It goes with the wrapper.
func New(d ustack.Device, cfg Config) ustack.Device { return &device{d, cfg} }

type device struct {
	ustack.Device
	cfg Config
}

// Open implements ustack.Device.
func (d *device) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	q, err := d.Device.Open(i, pool)
	if err != nil {
		return nil, err
	}
	return &queue{Queue: q, cfg: d.cfg, pool: pool, r: rand.New(rand.NewPCG(d.cfg.Seed, uint64(i))), began: time.Now()}, nil
}

type queue struct {
	ustack.Queue
	cfg     Config
	pool    *frame.Pool
	r       *rand.Rand
	began   time.Time
	n       int
	in, out held // frames that are not due yet
	arrived [64]*frame.Frame
}

// late is a frame that is held until a time.
type late struct {
	due time.Duration // since began
	n   int           // keeps the order of frames due together
	f   *frame.Frame
}

type held []late

func (h held) Len() int { return len(h) }
func (h held) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].n < h[j].n
}
func (h held) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *held) Push(x any)   { *h = append(*h, x.(late)) }
func (h *held) Pop() any     { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// spoil does to a frame what happens on the way and holds what is left of it.
func (q *queue) spoil(f *frame.Frame, to *held) {
	if q.r.Float64() < q.cfg.Loss {
		q.pool.Put(f)
		return
	}
	if q.r.Float64() < q.cfg.Duplicate {
		if again := q.pool.One(); again != nil {
			if len(again.Tail()) >= f.Len() {
				copy(again.Extend(f.Len()), f.Bytes())
				again.Offload = f.Offload
				q.hold(again, to)
			} else {
				q.pool.Put(again)
			}
		}
	}
	if q.r.Float64() < q.cfg.Corrupt && f.Offload.Checksum == frame.ChecksumFull && f.Len() > 0 {
		b := f.Bytes()
		b[q.r.IntN(len(b))] ^= 1 << q.r.IntN(8)
	}
	q.hold(f, to)
}

func (q *queue) hold(f *frame.Frame, to *held) {
	due := time.Since(q.began) + q.cfg.Delay
	if q.cfg.Jitter > 0 && q.r.Float64() < q.cfg.Reorder {
		due += time.Duration(q.r.Int64N(int64(q.cfg.Jitter)))
	}
	q.n++
	heap.Push(to, late{due, q.n, f})
}

// take moves the frames that are due to list, at most as many as fit.
func (q *queue) take(from *held, list []*frame.Frame) int {
	now := time.Since(q.began)
	n := 0
	for n < len(list) && len(*from) > 0 && (*from)[0].due <= now {
		list[n] = heap.Pop(from).(late).f
		n++
	}
	return n
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	if err := q.sendDue(); err != nil {
		return 0, err
	}
	n, err := q.Queue.Receive(q.arrived[:])
	for i, f := range q.arrived[:n] {
		q.spoil(f, &q.in)
		q.arrived[i] = nil
	}
	return q.take(&q.in, into), err
}

// Send implements ustack.Queue. Frames that are lost here count as sent.
func (q *queue) Send(frames []*frame.Frame) (int, error) {
	for _, f := range frames {
		q.spoil(f, &q.out)
	}
	return len(frames), q.sendDue()
}

func (q *queue) sendDue() error {
	var list [64]*frame.Frame
	for {
		n := q.take(&q.out, list[:])
		if n == 0 {
			return nil
		}
		if _, err := q.Queue.Send(list[:n]); err != nil {
			return err
		}
	}
}

// Wait implements ustack.Queue. What is held is looked at every half millisecond: a
// Send of another goroutine may hold more meanwhile.
func (q *queue) Wait(timeout time.Duration) error {
	const tick = 500 * time.Microsecond
	if q.cfg.Delay > 0 || q.cfg.Reorder > 0 {
		if timeout < 0 || timeout > tick {
			timeout = tick
		}
	}
	return q.Queue.Wait(timeout)
}

// Close implements ustack.Queue.
func (q *queue) Close() error {
	for _, h := range []*held{&q.in, &q.out} {
		for _, l := range *h {
			q.pool.Put(l.f)
		}
		*h = nil
	}
	return q.Queue.Close()
}
