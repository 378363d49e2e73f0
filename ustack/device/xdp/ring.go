package xdp

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is one of the four rings of a socket, shared with the kernel. One side moves
// producer and the other consumer; both only grow, modulo 2^32.
type ring[E uint64 | unix.XDPDesc] struct {
	memory             []byte
	producer, consumer *uint32
	flags              *uint32
	entries            []E    // a power of two of them
	at                 uint32 // what this side moves, as last told to the kernel, and beyond while in use
	other              uint32 // what the kernel moves, as last seen
}

// mapRing makes a ring of n entries on a socket and maps it.
func mapRing[E uint64 | unix.XDPDesc](fd, option int, page int64, n int, at func(*unix.XDPMmapOffsets) unix.XDPRingOffset) (*ring[E], error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_XDP, option, n); err != nil {
		return nil, fmt.Errorf("make a ring of %d: %w", n, err)
	}
	all, err := offsets(fd)
	if err != nil {
		return nil, fmt.Errorf("ask where the rings are: %w", err)
	}
	o := at(&all)
	var e E
	size := int(o.Desc) + n*int(unsafe.Sizeof(e))
	m, err := unix.Mmap(fd, page, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a ring of %d: %w", n, err)
	}
	return &ring[E]{
		memory: m, entries: entries[E](m, o.Desc, n),
		producer: counter(m, o.Producer), consumer: counter(m, o.Consumer), flags: counter(m, o.Flags),
	}, nil
}

// free returns how many entries may be put by a producer that wants n.
func (r *ring[E]) free(n int) int {
	size := uint32(len(r.entries))
	if int(size-(r.at-r.other)) < n {
		r.other = atomic.LoadUint32(r.consumer)
	}
	return int(size - (r.at - r.other))
}

// put adds an entry, for which free has found room. The kernel sees it after publish.
func (r *ring[E]) put(e E) {
	r.entries[r.at&uint32(len(r.entries)-1)] = e
	r.at++
}

func (r *ring[E]) publish() { atomic.StoreUint32(r.producer, r.at) }

// pending returns how many entries the kernel has not consumed yet.
func (r *ring[E]) pending() int {
	r.other = atomic.LoadUint32(r.consumer)
	return int(r.at - r.other)
}

// ready returns how many entries there are to be taken by a consumer.
func (r *ring[E]) ready() int {
	r.other = atomic.LoadUint32(r.producer)
	return int(r.other - r.at)
}

// take returns the next entry. The kernel may use its place again after release.
func (r *ring[E]) take() E {
	e := r.entries[r.at&uint32(len(r.entries)-1)]
	r.at++
	return e
}

func (r *ring[E]) release() { atomic.StoreUint32(r.consumer, r.at) }

// sleeps reports whether the kernel must be called to look at the ring.
func (r *ring[E]) sleeps() bool { return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0 }

// rings are those of one socket.
type rings struct {
	fill, done *ring[uint64]
	rx, tx     *ring[unix.XDPDesc]
}

func mapRings(fd, fill, rx, tx int) (r rings, err error) {
	type offs = unix.XDPMmapOffsets
	type off = unix.XDPRingOffset
	var errs [4]error
	r.fill, errs[0] = mapRing[uint64](fd, unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_PGOFF_FILL_RING, fill, func(o *offs) off { return o.Fr })
	r.done, errs[1] = mapRing[uint64](fd, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_UMEM_PGOFF_COMPLETION_RING, tx, func(o *offs) off { return o.Cr })
	r.rx, errs[2] = mapRing[unix.XDPDesc](fd, unix.XDP_RX_RING, unix.XDP_PGOFF_RX_RING, rx, func(o *offs) off { return o.Rx })
	r.tx, errs[3] = mapRing[unix.XDPDesc](fd, unix.XDP_TX_RING, unix.XDP_PGOFF_TX_RING, tx, func(o *offs) off { return o.Tx })
	return r, errors.Join(errs[:]...)
}

func (r *rings) unmap() error {
	var errs []error
	for _, m := range [][]byte{memoryOf(r.fill), memoryOf(r.done), memoryOf(r.rx), memoryOf(r.tx)} {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
	}
	*r = rings{}
	return errors.Join(errs...)
}

func memoryOf[E uint64 | unix.XDPDesc](r *ring[E]) []byte {
	if r == nil {
		return nil
	}
	return r.memory
}
