package frame

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Buffers says how a pool comes by its frames: the paper's section 4.2.
type Buffers uint8

// Ways to come by frames.
const (
	// Recycled frames lie in one region outside the collector's heap and are used
	// again and again.
	Recycled Buffers = iota
	// Bulk frames are allocated from the heap a bunch at a time and left to the
	// collector.
	Bulk
	// Single frames are allocated from the heap each on its own and left to the
	// collector.
	Single
)

// bulkBytes is the size of a bunch of Bulk frames.
const bulkBytes = 128 << 10

// slabFrames is how many descriptions of frames are allocated at a time.
const slabFrames = 64

// Config describes a pool.
type Config struct {
	FrameSize int     // bytes of memory of each frame
	Limit     int     // frames that may be out at the same time
	Headroom  int     // bytes left free before the packet of a fresh frame
	Buffers   Buffers // how frames are come by
}

// Pool hands out frames and takes them back. Its methods are for its owner, one call
// at a time, unless they say otherwise; frames that others hold come back through
// [Free].
//
// A recycled pool reserves address space for all of its frames at once and touches
// a frame's memory only when it is first used. The frame last returned is the first
// to be handed out again, so the memory in use stays small and in the caches.
type Pool struct {
	cfg    Config
	region []byte
	free   []*Frame
	slab   []Frame  // what fresh frames are described by
	bulk   []*Frame // allocated in bulk, not handed out yet
	fresh  int      // frames of the region that were handed out at least once
	out    int      // frames handed out and not come back, as far as the owner knows
	counts Counts   // but for Returns of Free

	mu       sync.Mutex
	returned List // came back through Free
	closed   bool
	missing  int // after Close: frames still out
	frees    uint64
}

// Counts is what a pool was asked for.
type Counts struct {
	Takes   uint64 // calls of Get and One
	Frames  uint64 // that they gave
	Allocs  uint64 // pieces of memory that were allocated from the heap for packets
	Returns uint64 // calls of Put and PutList, and runs of frames that came by Free
}

// Counts returns what the pool has counted.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts
	n.Returns += p.frees
	return n
}

// NewPool makes a pool. It fails if the address space can't be had.
func NewPool(cfg Config) (*Pool, error) {
	if cfg.FrameSize <= cfg.Headroom || cfg.Headroom < 0 || cfg.Limit <= 0 {
		return nil, fmt.Errorf("frame: pool of %d frames of %d bytes with %d of headroom: sizes must be positive, and frames longer than their headroom",
			cfg.Limit, cfg.FrameSize, cfg.Headroom)
	}
	p := &Pool{cfg: cfg}
	if cfg.Buffers == Recycled {
		region, err := unix.Mmap(-1, 0, cfg.FrameSize*cfg.Limit, unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		if err != nil {
			return nil, fmt.Errorf("frame: reserve %d frames of %d bytes: %w", cfg.Limit, cfg.FrameSize, err)
		}
		p.region = region
	}
	return p, nil
}

// Region is the memory in which all frames of a recycled pool lie, for devices that
// register it; nil for other pools.
func (p *Pool) Region() []byte { return p.region }

// Config returns what the pool was made with.
func (p *Pool) Config() Config { return p.cfg }

// Out returns how many frames are handed out.
func (p *Pool) Out() int {
	p.reclaim()
	return p.out
}

// Get fills into with empty frames and returns how many there were. There are fewer
// than asked for only where the pool's limit is reached.
func (p *Pool) Get(into []*Frame) int {
	p.counts.Takes++
	for i := range into {
		f := p.get()
		if f == nil {
			return i
		}
		into[i] = f
	}
	return len(into)
}

// One returns an empty frame, or nil if the pool's limit is reached.
func (p *Pool) One() *Frame {
	p.counts.Takes++
	return p.get()
}

func (p *Pool) get() *Frame {
	n := len(p.free)
	if n == 0 {
		p.reclaim()
		n = len(p.free)
	}
	if n == 0 {
		return p.fetch()
	}
	f := p.free[n-1]
	p.free = p.free[:n-1]
	p.out++
	p.counts.Frames++
	f.Reset(p.cfg.Headroom)
	return f
}

// fetch comes by a frame that was not there before.
func (p *Pool) fetch() *Frame {
	if p.out >= p.cfg.Limit {
		return nil
	}
	size := p.cfg.FrameSize
	var f *Frame
	switch p.cfg.Buffers {
	case Recycled:
		if p.fresh == p.cfg.Limit {
			return nil
		}
		at := p.fresh * size
		if len(p.slab) == 0 {
			p.slab = make([]Frame, slabFrames)
		}
		f = &p.slab[0]
		p.slab = p.slab[1:]
		*f = Frame{buf: p.region[at : at+size : at+size], home: p, at: at}
		p.fresh++
	case Bulk:
		if len(p.bulk) == 0 {
			p.allocate(max(bulkBytes/size, 8))
		}
		f = p.bulk[len(p.bulk)-1]
		p.bulk = p.bulk[:len(p.bulk)-1]
	case Single:
		f = &Frame{buf: make([]byte, size), home: p}
		p.counts.Allocs++
	}
	p.out++
	p.counts.Frames++
	f.Reset(p.cfg.Headroom)
	return f
}

// allocate makes n frames from two pieces of the heap.
func (p *Pool) allocate(n int) {
	size := p.cfg.FrameSize
	frames, memory := make([]Frame, n), make([]byte, n*size)
	p.counts.Allocs++
	for i := range frames {
		frames[i] = Frame{buf: memory[i*size : (i+1)*size : (i+1)*size], home: p}
		p.bulk = append(p.bulk, &frames[i])
	}
}

// Put takes f back. Frames of other pools find their way home.
func (p *Pool) Put(f *Frame) {
	p.counts.Returns++
	p.put(f)
}

func (p *Pool) put(f *Frame) {
	if f.home != p {
		f.Next = nil
		Free(f)
		return
	}
	p.out--
	if p.cfg.Buffers == Recycled {
		p.free = append(p.free, f)
	}
}

// PutList takes all frames of l back and empties it.
func (p *Pool) PutList(l *List) {
	if l.Head != nil {
		p.counts.Returns++
	}
	p.putAll(l)
}

func (p *Pool) putAll(l *List) {
	for f := l.Pop(); f != nil; f = l.Pop() {
		p.put(f)
	}
}

// reclaim takes in what came back through Free.
func (p *Pool) reclaim() {
	p.mu.Lock()
	l := p.returned
	p.returned = List{}
	p.mu.Unlock()
	p.putAll(&l)
}

// Close gives the pool's memory back as soon as the last frame has come home. The
// owner must not use the pool any more.
func (p *Pool) Close() {
	p.reclaim()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.missing = p.out - p.returned.N
	p.returned = List{}
	p.unmapIfDone()
}

// unmapIfDone gives the region back once no frame is out. p.mu is held.
func (p *Pool) unmapIfDone() {
	if p.missing == 0 && p.region != nil {
		// The only error is an address that never was mapped.
		_ = unix.Munmap(p.region)
		p.region = nil
	}
}

// Free gives back a list of frames, linked through Next, to the pools that they came
// from. Any goroutine may call it for frames that it holds.
func Free(f *Frame) {
	for f != nil {
		home, run := f.home, List{}
		for f != nil && f.home == home {
			next := f.Next
			run.Push(f)
			f = next
		}
		if home != nil {
			home.takeBack(&run)
		}
	}
}

// takeBack is Free for frames of one pool.
func (p *Pool) takeBack(l *List) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frees++
	if p.closed {
		p.missing -= l.N
		p.unmapIfDone()
		return
	}
	p.returned.Join(l)
}
