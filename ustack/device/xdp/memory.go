package xdp

import (
	"fmt"
	"iter"
	"os"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

const (
	memoryMin = 4 << 20
	smallest  = 2048 // bytes of a chunk, by the kernel (XDP_UMEM_MIN_CHUNK_SIZE)
	bounceMax = 64   // near frames kept for packets to send that lie far
	farMax    = 256  // far frames kept to copy to
)

// memory is what a queue shares with the kernel: the beginning of the pool's region, or
// a region of its own where the pool has none. Frames in it are near, others far.
type memory struct {
	pool   *frame.Pool // of the stack
	umem   *frame.Pool // of which region is a part; often the same
	region []byte
	size   int // bytes of a frame of umem
	chunk  int // bytes that the kernel uses at a time: of a frame, or of a part of it

	frames  []*frame.Frame // near ones, by their place
	kernels []bool         // those that the kernel has, to receive into or to send, likewise
	far     []*frame.Frame // empty
	bounce  []*frame.Frame // near and empty, to send far packets from
	lent    int            // chunks that the kernel may receive into, or has received into
	share   int            // how many that should be
	sending int            // frames on their way out
}

// init divides the memory for packets that take need bytes of a frame.
func (m *memory) init(pool *frame.Pool, bytes, need int) error {
	page := os.Getpagesize()
	m.pool, m.umem, m.size = pool, pool, pool.Config().FrameSize
	m.chunk = min(m.size, page)
	if pool.Region() == nil || m.size < need || m.size%m.chunk != 0 || (m.chunk != smallest && m.chunk != page) {
		m.chunk = smallest
		if need > smallest {
			m.chunk = page
		}
		m.size = (need + m.chunk - 1) / m.chunk * m.chunk
		own, err := frame.NewPool(frame.Config{FrameSize: m.size, Limit: bytes / m.size})
		if err != nil {
			return err
		}
		m.umem = own
	}
	n := min(bytes/m.size, m.umem.Config().Limit)
	m.share = min(posted, n*(m.size/m.chunk)/2)
	if m.share < bunch {
		return fmt.Errorf("a pool of %d frames: want at least %d", n, 2*bunch)
	}
	m.region, m.frames, m.kernels = m.umem.Region()[:n*m.size], make([]*frame.Frame, n), make([]bool, n)
	var some [bounceMax]*frame.Frame
	m.bounce = append(m.bounce, some[:m.near(some[:min(bounceMax, n/4)])]...)
	return nil
}

// give makes an empty near frame the kernel's and returns where its memory begins.
func (m *memory) give(f *frame.Frame) int {
	f.Reset(0)
	at, _ := f.Place(m.umem)
	m.frames[at/m.size], m.kernels[at/m.size] = f, true
	return at
}

// takeBack returns the frame of an address that the kernel is done with.
func (m *memory) takeBack(address uint64) *frame.Frame {
	i := int(address) / m.size
	m.kernels[i] = false
	return m.frames[i]
}

// isNear reports whether a packet lies in the region, and where.
func (m *memory) isNear(f *frame.Frame) (at int, ok bool) {
	at, ok = f.Place(m.umem)
	return at, ok && at < len(m.region)
}

// near fills into with near frames as far as there are any. Far ones that come up are
// kept.
func (m *memory) near(into []*frame.Frame) (n int) {
	for n < len(into) {
		got := m.umem.Get(into[n:])
		if got == 0 {
			return n
		}
		for _, f := range into[n : n+got] {
			if _, ok := m.isNear(f); ok {
				into[n] = f
				n++
				continue
			}
			m.far = append(m.far, f)
		}
		if len(m.far) >= farMax {
			for _, f := range m.far[farMax/2:] {
				m.umem.Put(f)
			}
			m.far = m.far[:farMax/2]
			return n
		}
	}
	return n
}

// spare returns an empty frame to copy to, or nil.
func (m *memory) spare() *frame.Frame {
	k := len(m.far)
	if k == 0 {
		return m.pool.One()
	}
	f := m.far[k-1]
	m.far = m.far[:k-1]
	f.Reset(m.pool.Config().Headroom)
	return f
}

// loan gives frames to the kernel whose chunks it keeps, and yields these.
func (m *memory) loan() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		var one [1]*frame.Frame
		for m.lent < m.share && m.near(one[:]) == 1 {
			at := m.give(one[0])
			for end := at + m.size; at < end && m.lent < m.share; at += m.chunk {
				m.lent++
				if !yield(uint64(at)) {
					return
				}
			}
		}
	}
}

// toSend returns a near frame with the packet of f, which it takes over, or nil.
func (m *memory) toSend(f *frame.Frame) *frame.Frame {
	if _, ok := m.isNear(f); ok {
		return f
	}
	var one [1]*frame.Frame
	if k := len(m.bounce); k > 0 {
		one[0] = m.bounce[k-1]
		m.bounce = m.bounce[:k-1]
	} else if m.near(one[:]) == 0 {
		m.pool.Put(f)
		return nil
	}
	g := one[0]
	g.Reset(0)
	if f.Len() > m.size {
		m.sent(g)
		m.pool.Put(f)
		return nil
	}
	copy(g.Extend(f.Len()), f.Bytes())
	m.pool.Put(f)
	return g
}

// sent takes back a near frame that has left.
func (m *memory) sent(f *frame.Frame) {
	if len(m.bounce) < bounceMax {
		m.bounce = append(m.bounce, f)
		return
	}
	m.umem.Put(f)
}

// close gives all frames back, once the kernel does not use them any more.
func (m *memory) close() {
	for _, list := range [][]*frame.Frame{m.far, m.bounce} {
		for _, f := range list {
			m.umem.Put(f)
		}
	}
	for i, has := range m.kernels {
		if has {
			m.umem.Put(m.frames[i])
		}
	}
	if m.umem != m.pool {
		m.umem.Close()
	}
	*m = memory{}
}
