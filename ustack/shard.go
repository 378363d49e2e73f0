package ustack

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/reassembly"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// shard owns one queue of the device, its frames, and the connections whose packets
// come by that queue. All of that belongs to whoever holds mu: mostly the shard's own
// goroutine, for a bunch of frames at a time; and, while that sleeps, the goroutines of
// the application, which do the work of their calls themselves and so need not wake it.
//
// An application that finds the lock taken leaves its connection in mail, where the
// holder finds it when it lets go: neither waits for the other.
type shard struct {
	st    *Stack
	index int
	queue Queue
	pool  *frame.Pool
	small *frame.Pool // short packets that are kept, where pool's frames are large; or nil

	mail      atomic.Pointer[TCPConn]
	waitUntil atomic.Int64 // when the goroutine will wake up; 0: it is awake
	stopping  atomic.Bool
	yielding  atomic.Bool // the goroutine lets others run, and then does another turn

	strayMu sync.Mutex
	strays  frame.List // frames of this shard's flows that came by another's queue, or from itself

	mu           sync.Mutex
	flows        map[flowKey]*TCPConn
	timers       timerHeap
	dying        graves // connections in TIME-WAIT
	batch        []*frame.Frame
	arrivals     []arrival
	touched      []*TCPConn
	corked       []*TCPConn // that keep bytes back
	corkedUntil  int64      // when some of them are to be looked at; 0: none
	owing        []*TCPConn // acknowledgements that wait for the application's turn
	last         *TCPConn   // of the frame before
	out          tcp.Out
	tx           []*frame.Frame
	pieces       [][]byte        // of a send buffer, while a burst is made
	sum          memcopy.Partial // of a payload that is copied
	parts        reassembly.Table
	chunks       chunkPool
	limits       rateLimits
	cookiesUntil int64 // ACKs may bring a SYN cookie back until then
	ipID         uint16
	woke         bool  // a goroutine of the application was made ready
	failed       error // why the device is of no use any more
	inside       bool  // the packet in hand is the stack's own, or was looked at by another shard
	group        bool  // its frame came to more stations than this one
	counters     counters
	tcpDone      tcp.Stats // of connections that are gone
}

func newShard(st *Stack, i int) (*shard, error) {
	pool, err := frame.NewPool(st.frames)
	if err != nil {
		return nil, err
	}
	var small *frame.Pool
	if cfg := pool.Config(); cfg.FrameSize > smallAbove {
		cfg.FrameSize, cfg.Limit = smallFrame, framesMemory/smallFrame
		if small, err = frame.NewPool(cfg); err != nil {
			pool.Close()
			return nil, err
		}
	}
	q, err := st.cfg.Device.Open(i, pool)
	if err != nil {
		pool.Close()
		if small != nil {
			small.Close()
		}
		return nil, err
	}
	s := &shard{
		st: st, index: i, queue: q, pool: pool, small: small, flows: map[flowKey]*TCPConn{},
		batch: make([]*frame.Frame, st.cfg.Techniques.Gather),
	}
	s.limits.init()
	return s, nil
}

const (
	smallAbove = 8192 // bytes of a frame from which on short packets get others
	smallFrame = 2048
)

// compact moves a short payload that is about to be kept out of a large frame, whose
// memory it would hold for as long. One whose bytes the reader has already goes at once.
func (s *shard) compact(f *frame.Frame) *frame.Frame {
	if s.small == nil || f.Taken || f.Len() > smallFrame-2*headroom || f.Cap() <= smallAbove {
		return f
	}
	g := s.small.One()
	if g == nil {
		return f
	}
	copy(g.Extend(f.Len()), f.Bytes())
	g.Seq, g.Offload = f.Seq, f.Offload
	s.pool.Put(f)
	return g
}

// forever is a deadline that never comes.
const forever = math.MaxInt64

// run is the shard's goroutine.
func (s *shard) run() {
	if s.st.cfg.Techniques.LockThread {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	for !s.stopping.Load() {
		n, until, woke, err := s.turn()
		if err != nil {
			s.fail(err)
			return
		}
		if n > 0 {
			// Those who wait for the bytes run before the next bunch, and find them in
			// the cache.
			if woke && s.yields() {
				s.yielding.Store(true)
				runtime.Gosched()
				s.yielding.Store(false)
			}
			continue
		}
		timeout := time.Duration(-1)
		if until != forever {
			timeout = time.Duration(max(until-s.st.now(), 0))
		}
		err = s.queue.Wait(timeout)
		s.waitUntil.Store(0)
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// yields reports whether the goroutines that a bunch has made ready run before the next.
func (s *shard) yields() bool {
	return s.st.cfg.Techniques.Wake == WakeSame && s.st.cfg.Techniques.Locality == LocalShard
}

// turn does all that is to be done now: one bunch of frames from the device through
// all layers, timers, and calls of the application. It returns how many frames there
// were, when there will be more to do, and whether a goroutine of the application was
// made ready.
func (s *shard) turn() (n int, until int64, woke bool, err error) {
	s.mu.Lock()
	defer s.unlock()
	n, err = s.queue.Receive(s.batch)
	s.counters[rxCalls]++
	now := s.st.now()
	s.acknowledgeOwed(now)
	switch {
	case n == 0:
	case s.st.spread != nil:
		s.deal(s.batch[:n])
	default:
		s.receive(s.batch[:n], now)
	}
	s.takeStrays(now)
	if n == 0 {
		s.acknowledgeOwed(now) // what strays have left: there is no turn of the application
	}
	s.timersDue(now)
	s.takeMail(now)
	s.uncork(now)
	s.flush()
	until = s.nextTimer()
	if n == 0 {
		s.counters[rxSleeps]++
		s.waitUntil.Store(until)
	}
	woke, s.woke = s.woke, false
	return n, until, woke, err
}

// unlock lets go of the shard, and does what was left in the mail meanwhile.
func (s *shard) unlock() {
	s.mu.Unlock()
	s.help()
}

// help does the work that is in the mail, unless somebody holds the shard, who will do
// it then.
func (s *shard) help() {
	for s.mail.Load() != nil && s.mu.TryLock() {
		s.takeMail(s.st.now())
		s.settle()
		s.mu.Unlock()
	}
}

// call runs f with the shard in hand, and sends what comes of it, or leaves it to the
// shard's turn if that is next.
func (s *shard) call(f func(now int64)) {
	s.mu.Lock()
	defer s.unlock()
	f(s.st.now())
	if !s.yielding.Load() {
		s.settle()
	}
}

// settle ends work that was done outside of the shard's goroutine: it sends, and wakes
// that goroutine if it would sleep too long now.
func (s *shard) settle() {
	s.flush()
	if until := s.waitUntil.Load(); until != 0 && s.nextTimer() < until {
		s.queue.Wake()
	}
}

// flush hands to the device what is to be sent.
func (s *shard) flush() {
	if len(s.tx) == 0 {
		return
	}
	sent, err := s.queue.Send(s.tx)
	s.counters[txFrames] += uint64(sent)
	s.counters[txDropped] += uint64(len(s.tx) - sent)
	if err != nil {
		s.counters[txErrors]++ // Receive will meet it too, and end the shard
	}
	clear(s.tx)
	s.tx = s.tx[:0]
}

// send queues a frame for the device.
func (s *shard) send(f *frame.Frame) {
	s.tx = append(s.tx, f)
	if len(s.tx) >= s.st.cfg.Techniques.Bunch {
		s.flush()
	}
}

// fail ends all connections after the device has failed.
func (s *shard) fail(err error) {
	s.mu.Lock()
	defer s.unlock()
	s.waitUntil.Store(0)
	s.failed = errors.Join(errDeviceGone, err)
	for _, c := range s.flows {
		s.end(c, s.failed)
	}
}

// stop ends the shard's goroutine and its connections.
func (s *shard) stop() {
	s.call(func(now int64) {
		for _, c := range s.flows {
			c.tcp.Abort(now, &s.out)
			s.finish(c, now)
		}
		s.flush()
	})
	s.stopping.Store(true)
	s.queue.Wake()
}

// release gives back what the shard holds, after its goroutine has ended.
func (s *shard) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.flows {
		s.end(c, errClosedStack)
	}
	s.takeMail(s.st.now())
	err := s.queue.Close()
	s.strayMu.Lock()
	s.pool.PutList(&s.strays)
	s.strayMu.Unlock()
	s.pool.Close()
	if s.small != nil {
		s.small.Close()
	}
	return err
}

// closeAll closes all connections with grace.
func (s *shard) closeAll() {
	s.call(func(now int64) {
		for _, c := range s.flows {
			// What the application did before goes first.
			s.takeFolded(c, now)
			c.takeWritten(now, true)
			c.takeConsumed(now)
			c.tcp.Close(now, &s.out)
			s.finish(c, now)
		}
	})
}

// open is how many connections there are that are not in TIME-WAIT.
func (s *shard) open() (n int) {
	s.mu.Lock()
	defer s.unlock()
	for _, c := range s.flows {
		if c.tcp.State() != tcp.TimeWait {
			n++
		}
	}
	return n
}

// handOver gives a frame to the shard that its flow belongs to. It begins with the IP
// header.
func (s *shard) handOver(to *shard, f *frame.Frame) {
	s.counters[strays]++
	to.strayMu.Lock()
	to.strays.Push(f)
	to.strayMu.Unlock()
	to.queue.Wake()
}

// loop gives a packet to the stack itself, at the shard's next turn.
func (s *shard) loop(f *frame.Frame) {
	s.counters[looped]++
	s.strayMu.Lock()
	s.strays.Push(f)
	s.strayMu.Unlock()
	s.queue.Wake()
}

// takeStrays takes in what other shards have handed over, and the stack's packets to itself.
func (s *shard) takeStrays(now int64) {
	s.strayMu.Lock()
	l := s.strays
	s.strays = frame.List{}
	s.strayMu.Unlock()
	s.inside = true
	for f := l.Pop(); f != nil; f = l.Pop() {
		s.internet(f, wire.HW{}, now)
	}
	s.inside = false
	s.processTouched(now)
}
