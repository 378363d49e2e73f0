package xdp

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack/device/wake"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

const (
	ringEntries = 2048
	// posted is how many chunks the kernel is given to receive into: a burst, but no
	// more, since they are used in turn, and caches are small.
	posted = 2048
	bunch  = 64 // chunks that are given at a time
	// sendBudget is how many packets the kernel sends in a call.
	sendBudget = 256
	// lookAgain is how often a queue that sleeps looks whether its interface is still
	// there: the kernel wakes nobody for that.
	lookAgain = time.Second
	// sendAgain is how long frames wait that the kernel did not send.
	sendAgain = time.Millisecond
)

// queue is a socket, bound to a receive and a send queue of the interface.
type queue struct {
	*wake.Sleeper
	memory
	rings
	fd    int
	veth  bool
	stuck atomic.Bool // the kernel has not sent all that it was given

	copying bool         // every packet is copied out of the memory
	part    *frame.Frame // of which the last piece has not come yet
	skip    bool         // the rest of a packet that is too long
	batch   [bunch]*frame.Frame
}

// errGone is what a queue fails with when its interface is no more.
var errGone = errors.New("xdp: the interface is gone")

// open makes queue i of a device and reports whether it is zero-copy.
func open(d *Device, i int, pool *frame.Pool) (q *queue, zero bool, err error) {
	if d.sockets[i] < 0 {
		return nil, false, errors.New("opened twice")
	}
	q = &queue{fd: d.sockets[i], veth: d.nic.veth}
	d.sockets[i] = -1
	defer func() {
		if err != nil {
			err = errors.Join(err, q.Close())
		}
	}()
	if q.Sleeper, err = wake.New(); err != nil {
		return q, false, err
	}
	if err = q.memory.init(pool, d.cfg.MemoryBytes, d.info.ReceiveSize+stackHeadroom); err != nil {
		return q, false, err
	}
	q.copying = d.mode.Pieces || q.umem != q.pool
	if err = register(q.fd, q.region, q.chunk); err != nil {
		if errors.Is(err, unix.ENOBUFS) {
			err = fmt.Errorf("%w: raise the limit of locked memory (ulimit -l), or give CAP_IPC_LOCK", err)
		}
		return q, false, fmt.Errorf("share %d bytes with the kernel: %w", len(q.region), err)
	}
	if q.rings, err = mapRings(q.fd, ringEntries, ringEntries, ringEntries); err != nil {
		return q, false, err
	}
	// Kernels before 6.18 send 32 at a time.
	_ = unix.SetsockoptInt(q.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, sendBudget)
	q.begin()
	if err = bind(q.fd, d.nic.index, i, d.cfg.Copying, d.mode.Pieces); err != nil {
		return q, false, err
	}
	options, err := unix.GetsockoptInt(q.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	if err != nil {
		return q, false, fmt.Errorf("ask for its mode: %w", err)
	}
	if err = d.prog.sockets.Put(uint32(i), uint32(q.fd)); err != nil {
		return q, false, fmt.Errorf("enter its socket for the program: %w", err)
	}
	return q, options&unix.XDP_OPTIONS_ZEROCOPY != 0, nil
}

// bind lets frames in. The kernel tries zero-copy first unless told not to.
func bind(fd, index, queue int, c Copying, pieces bool) error {
	flags := uint16(unix.XDP_USE_NEED_WAKEUP)
	switch c {
	case CopyNever:
		flags |= unix.XDP_ZEROCOPY
	case CopyAlways:
		flags |= unix.XDP_COPY
	}
	if pieces {
		flags |= unix.XDP_USE_SG
	}
	err := unix.Bind(fd, &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(index), QueueID: uint32(queue)})
	switch {
	case err == nil:
		return nil
	case c == CopyNever && errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("bind: %w: the driver does no zero-copy (of packets of this MTU): allow copying", err)
	case pieces && errors.Is(err, unix.EINVAL):
		return fmt.Errorf("bind: %w: packets in pieces need Linux 6.6: set an MTU of at most %d", err, unix.Getpagesize()-kernelHeadroom-ethernetLen-vlanLen)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("bind: %w: another AF_XDP socket has the queue", err)
	}
	return fmt.Errorf("bind: %w", err)
}

// begin gives the kernel its first chunks.
func (q *queue) begin() {
	if !q.copying {
		q.post()
		return
	}
	for at := range q.loan() {
		q.fill.put(at)
	}
	q.fill.publish()
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	if q.sending > 0 {
		if err := q.push(); err != nil {
			return 0, err
		}
		q.reclaim()
	}
	n := 0
	if ready := q.rx.ready(); ready > 0 {
		if q.copying {
			n = q.gather(into, ready)
		} else {
			n = q.handUp(into, ready)
		}
		q.rx.release()
	}
	if !q.copying {
		q.post()
	}
	if q.fill.sleeps() {
		refill(q.fd)
	}
	if q.veth {
		for _, f := range into[:n] {
			markPartial(f)
		}
	}
	return n, nil
}

// handUp passes the frames on that the kernel has filled, and copies where too few would
// be left to receive into.
func (q *queue) handUp(into []*frame.Frame, ready int) (n int) {
	for n < len(into) && n < ready {
		var spare *frame.Frame
		if len(q.far) > 0 || q.lent <= q.share/4 {
			if spare = q.spare(); spare == nil {
				return n // what was received must be read first
			}
		}
		desc := q.rx.take()
		f := q.takeBack(desc.Addr)
		f.Reset(int(desc.Addr) % q.size)
		f.Extend(int(desc.Len))
		if spare == nil {
			q.lent--
		} else {
			copy(spare.Extend(f.Len()), f.Bytes())
			q.fill.put(uint64(q.give(f)))
			f = spare
		}
		into[n] = f
		n++
	}
	return n
}

// gather copies packets out of the pieces that they came in.
func (q *queue) gather(into []*frame.Frame, ready int) (n int) {
	for ; n < len(into) && ready > 0; ready-- {
		if q.part == nil && !q.skip {
			if q.part = q.pool.One(); q.part == nil {
				break // what was received must be read first
			}
		}
		desc := q.rx.take()
		if !q.skip {
			if len(q.part.Tail()) < int(desc.Len) {
				q.pool.Put(q.part)
				q.part, q.skip = nil, true
			} else {
				copy(q.part.Extend(int(desc.Len)), q.region[desc.Addr:])
			}
		}
		q.fill.put(desc.Addr - desc.Addr%uint64(q.chunk))
		if desc.Options&unix.XDP_PKT_CONTD != 0 {
			continue
		}
		if !q.skip {
			into[n] = q.part
			n++
		}
		q.part, q.skip = nil, false
	}
	q.fill.publish()
	return n
}

// post gives the kernel chunks to receive into.
func (q *queue) post() {
	for q.share-q.lent >= bunch {
		got := q.near(q.batch[:])
		for _, f := range q.batch[:got] {
			q.fill.put(uint64(q.give(f)))
		}
		q.lent += got
		if got < bunch {
			break
		}
	}
	q.fill.publish()
}

// Wait implements ustack.Queue.
func (q *queue) Wait(timeout time.Duration) error {
	most := lookAgain
	if q.stuck.Load() { // the kernel had no room, and wakes nobody when it has
		most = sendAgain
	}
	if timeout < 0 || timeout > most {
		timeout = most
	}
	if err := q.Sleeper.Wait(q.fd, timeout); err != nil {
		return err
	}
	if no, err := unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || no != 0 {
		return errGone
	}
	return nil
}

// Close implements ustack.Queue.
func (q *queue) Close() error {
	var errs []error
	if q.fd >= 0 {
		errs = append(errs, unix.Close(q.fd)) // the program's map forgets it
		q.fd = -1
	}
	errs = append(errs, q.unmap())
	if q.part != nil {
		q.pool.Put(q.part)
		q.part = nil
	}
	q.memory.close()
	if q.Sleeper != nil {
		errs = append(errs, q.Sleeper.Close())
	}
	return errors.Join(errs...)
}
