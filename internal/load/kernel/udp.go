package kernel

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// datagrams is a connected UDP socket: the kernel gives it what its peer sends and nothing
// else.
type datagrams struct {
	wire.Arrivals
	fd      int
	flags   int
	message int // bytes of one send
	segment int // and of its datagrams
	number  uint64
	out     *bunch // nil: a message a call
	in      *bunch // nil: a datagram a call
	ended   atomic.Bool
	drops   uint64 // before the flow began
}

// datagramPatience is how long a blocking call waits before the driver looks whether the
// flow is stopped: datagrams have no end of the stream.
const datagramPatience = 100 * time.Millisecond

// datagramSocket makes a socket of a flow with its options.
func datagramSocket(f *load.FlowSpec, family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, missing(f, err)
	}
	if err := establish(fd, options(f, family)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// newDatagrams makes a transport of a connected socket.
func newDatagrams(fd int, f *load.FlowSpec, o load.DialOptions) (*datagrams, error) {
	if f.SendMethod != "" && f.SendMethod != load.Copy || f.ReceiveMethod != "" && f.ReceiveMethod != load.Copy {
		return nil, fmt.Errorf("send_method, receive_method: udp copies")
	}
	d := &datagrams{
		Arrivals: wire.Arrivals{Tally: &load.Tally{}, Numbered: o.Numbered},
		fd:       fd, message: f.MessageBytes, segment: math.MaxInt,
	}
	if err := segmented(d, f); err != nil {
		return nil, err
	}
	if f.GRO {
		gro := number("UDP_GRO", unix.IPPROTO_UDP, unix.UDP_GRO, 1)
		if err := gro.establish(fd); err != nil {
			return nil, notSupported("gro", err, "use Linux 5.0 or later")
		}
	}
	if o.Polled {
		d.flags = unix.MSG_DONTWAIT
	} else {
		tv := unix.NsecToTimeval(datagramPatience.Nanoseconds())
		for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &tv); err != nil {
				return nil, fmt.Errorf("SO_RCVTIMEO, SO_SNDTIMEO: %w", err)
			}
		}
	}
	if f.Batch > 1 && o.Numbered {
		d.out = newBunch(f.Batch, f.MessageBytes, false)
	}
	if f.GRO || f.Batch > 1 {
		room := max(f.MessageBytes, f.Response())
		if f.SegmentBytes > 0 {
			room = f.SegmentBytes
		}
		if f.GRO {
			room = 1 << 16
		}
		d.in = newBunch(max(1, f.Batch), room, f.GRO)
	}
	return d, nil
}

// Count makes the flow count into t, from a socket that is empty: answers to preambles that were
// sent twice are no payload.
func (d *datagrams) Count(t *load.Tally) {
	d.Tally = t
	var b [1]byte
	for range 1024 {
		if _, errno := sysx.Recv(d.fd, b[:], unix.MSG_DONTWAIT); errno == unix.EAGAIN {
			break
		}
	}
	d.drops = drops(d.fd)
}

// Send sends one message of b, or all of them where the flow has a batch.
func (d *datagrams) Send(b []byte) (int, unix.Errno) {
	if d.out == nil && len(b) > d.message && d.Numbered {
		b = b[:d.message]
	}
	next := d.number
	if d.Numbered {
		next = wire.Stamp(b, d.message, d.segment, d.number, clock.Now())
	}
	for {
		var n int
		var errno unix.Errno
		if d.out == nil {
			n, errno = sysx.Send(d.fd, b, d.flags|unix.MSG_NOSIGNAL)
		} else {
			n, errno = d.out.send(d.fd, b, d.flags|unix.MSG_NOSIGNAL)
		}
		switch errno {
		case 0:
			if n < len(b) { // some messages of the bunch: whole ones
				next = d.number + uint64(n/d.message)*d.each()
			}
			d.number = next
			return n, 0
		case unix.EINTR:
		case unix.ENOBUFS: // the device's queue is full
			return 0, unix.EAGAIN
		default:
			return 0, gone(errno)
		}
	}
}

// each is how many datagrams a message is.
func (d *datagrams) each() uint64 {
	if d.segment >= d.message {
		return 1
	}
	return uint64((d.message + d.segment - 1) / d.segment)
}

// gone is the error of a peer that has no socket any more (ICMP's port unreachable), as
// streams tell it.
func gone(errno unix.Errno) unix.Errno {
	if errno == unix.ECONNREFUSED {
		return unix.ECONNRESET
	}
	return errno
}

func (d *datagrams) Recv(b []byte) (n int, errno unix.Errno) {
	if d.in == nil {
		n, errno = sysx.Recv(d.fd, b, d.flags)
	} else {
		n, errno = d.in.receive(d.fd, b, d.flags)
	}
	switch {
	case errno == unix.EINTR: // to wait anew each time might be for ever
		return 0, unix.EAGAIN
	case errno != 0:
		return 0, gone(errno)
	case n == 0 && d.ended.Load():
		return 0, 0
	case n == 0: // an empty datagram
		return 0, unix.EAGAIN
	}
	var now int64
	if d.Numbered {
		now = clock.Now()
	}
	if d.in == nil {
		d.Take(b[:n], 0, now)
	} else {
		d.in.each(b, func(part []byte, segment int) { d.Take(part, segment, now) })
	}
	return n, 0
}

func (d *datagrams) descriptor(load.Wait) int { return d.fd }

func (d *datagrams) Info() load.SocketInfo {
	i := info(d.fd)
	i.Drops = drops(d.fd) - d.drops
	return i
}

// drops is how many datagrams the socket had no room for.
func drops(fd int) uint64 {
	const at = 8 // SK_MEMINFO_DROPS (linux/sock_diag.h)
	var b [16]uint32
	length := uint32(unsafe.Sizeof(b))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&b)), uintptr(unsafe.Pointer(&length)), 0); errno != 0 {
		return 0
	}
	return uint64(b[at])
}

func (d *datagrams) Abort() {
	d.ended.Store(true)
	_ = unix.Shutdown(d.fd, unix.SHUT_RDWR)
}

func (d *datagrams) Close() { unix.Close(d.fd) }
