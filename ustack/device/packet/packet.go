// Package packet attaches a stack to a network interface through a packet socket
// (packet(7)): it sees all frames that arrive there, beside the kernel. The interface
// should have no IP address in the kernel, which would answer too. Frames with a VLAN tag
// are left to the kernel. Linux only; it needs CAP_NET_RAW over the network namespace of
// the calling thread.
//
// Frames come by system calls of up to 64 each, or through a [Ring] shared with the
// kernel. They leave by sendmmsg(2) in any case. Over an interface that goes down nothing
// passes until it is up again; one that is deleted ends the stack's connections.
package packet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/vnet"
	"github.com/stackmeter/stackmeter/ustack/device/wake"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Ring is where received frames wait.
type Ring uint8

// Rings.
const (
	// NoRing keeps them in the socket: recvmmsg(2) copies a bunch in a call.
	NoRing Ring = iota
	// Slots is a ring of slots that each hold one frame of any length (TPACKET_V2),
	// which can be read as soon as it is there.
	Slots
	// Blocks is a ring of blocks of 64 KiB, each full of frames (TPACKET_V3): best
	// for Offload, whose frames are of very different lengths. The kernel hands a block
	// over when it is full, or after 1 to 2 ms: so much is added to the latency of
	// whatever does not come in bulk.
	Blocks
)

// Config describes a device.
type Config struct {
	Interface string // its name
	// Offload lets segments of up to 64 KiB pass uncut and without checksum, both
	// ways, as between the interface and the kernel.
	Offload bool
	// Queues is how many sockets share the interface; 0: 1. The kernel spreads flows
	// over them by hash (PACKET_FANOUT_HASH).
	Queues int
	Ring   Ring
	// BufferBytes is how much the kernel keeps for each queue until it is received; 0:
	// 8 MiB, or 2 MiB of a ring, whose memory is used in turn.
	BufferBytes int
	// BypassQdisc sends straight to the driver (PACKET_QDISC_BYPASS): less work, but
	// what the driver has no room for is dropped.
	BypassQdisc bool
}

const (
	ethernetLen = 14
	longest     = 65535 + ethernetLen
	segmentMax  = 65535 - 60 - 60
	bunch       = 64 // frames per system call

	bufferDefault = 8 << 20
	ringDefault   = 2 << 20
)

// Device is a network interface.
type Device struct {
	info ustack.DeviceInfo
	cfg  Config
	fds  []int
}

// New attaches to an interface.
func New(cfg Config) (*Device, error) {
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Queues < 0 {
		return nil, fmt.Errorf("packet: %d queues: want at least 1", cfg.Queues)
	}
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = bufferDefault
		if cfg.Ring != NoRing {
			cfg.BufferBytes = ringDefault
		}
	}
	nic, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("packet: %s: %w", cfg.Interface, err)
	}
	d := &Device{cfg: cfg, info: ustack.DeviceInfo{
		Name: cfg.Interface, Link: ustack.LinkEthernet, MTU: nic.MTU, Queues: cfg.Queues, ReceiveSize: nic.MTU + ethernetLen,
	}}
	if len(nic.HardwareAddr) != len(d.info.HWAddr) {
		return nil, fmt.Errorf("packet: %s has no Ethernet address", cfg.Interface)
	}
	copy(d.info.HWAddr[:], nic.HardwareAddr)
	if cfg.Offload {
		d.info.Headroom, d.info.SendChecksum, d.info.SegmentSize, d.info.ReceiveSize = vnet.Len, true, segmentMax, longest
	}
	for range cfg.Queues {
		fd, err := attach(cfg, nic.Index)
		if err != nil {
			if errors.Is(err, os.ErrPermission) {
				err = fmt.Errorf("%w: CAP_NET_RAW is needed", err)
			}
			return nil, errors.Join(fmt.Errorf("packet: %s: %w", cfg.Interface, err), d.Close())
		}
		d.fds = append(d.fds, fd)
	}
	if cfg.Queues > 1 {
		if err := spread(d.fds); err != nil {
			return nil, errors.Join(fmt.Errorf("packet: %s: %w", cfg.Interface, err), d.Close())
		}
	}
	return d, nil
}

// Info implements ustack.Device.
func (d *Device) Info() ustack.DeviceInfo { return d.info }

// Open implements ustack.Device.
func (d *Device) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	s, err := wake.New()
	if err != nil {
		return nil, fmt.Errorf("packet: %w", err)
	}
	q := &queue{Sleeper: s, fd: d.fds[i], pool: pool, offload: d.cfg.Offload}
	if d.cfg.Ring == NoRing {
		return q, nil
	}
	r, err := mapRing(q, d.cfg, d.info.ReceiveSize)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("packet: %s: %w", d.cfg.Interface, err), q.Close())
	}
	return r, nil
}

// Close implements ustack.Device.
func (d *Device) Close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	d.fds = nil
	return errors.Join(errs...)
}

// message is struct mmsghdr.
type message struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

type queue struct {
	*wake.Sleeper
	fd      int
	pool    *frame.Pool
	offload bool
	down    bool // or was, and nothing has come since

	empty    [bunch]*frame.Frame // for the next frames; the first nEmpty
	nEmpty   int
	messages [bunch]message
	vectors  [bunch]unix.Iovec
}

// point makes message i carry b.
func (q *queue) point(i int, b []byte) {
	q.vectors[i].Base = &b[0]
	q.vectors[i].SetLen(len(b))
	m := &q.messages[i]
	m.hdr.Iov = &q.vectors[i]
	m.hdr.SetIovlen(1)
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	want := min(len(into), bunch)
	q.nEmpty += q.pool.Get(q.empty[q.nEmpty:max(want, q.nEmpty)])
	want = min(want, q.nEmpty)
	if want == 0 {
		return 0, nil
	}
	for i, f := range q.empty[:want] {
		q.point(i, f.Tail())
	}
	k, _, no := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&q.messages[0])), uintptr(want), unix.MSG_DONTWAIT, 0, 0)
	switch no {
	case 0:
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	case unix.ENETDOWN:
		q.down = true
		return 0, q.gone()
	default:
		return 0, fmt.Errorf("packet: recvmmsg: %w", no)
	}
	n, got := 0, int(k)
	q.down = false
	for i, f := range q.empty[:got] {
		f.Extend(int(q.messages[i].n))
		if q.offload && !q.strip(f) {
			q.pool.Put(f)
			continue
		}
		into[n] = f
		n++
	}
	q.nEmpty = copy(q.empty[:], q.empty[got:q.nEmpty])
	return n, nil
}

// strip takes the kernel's header off.
func (q *queue) strip(f *frame.Frame) bool {
	if f.Len() < vnet.Len {
		return false
	}
	o, ok := vnet.Get(f.Bytes())
	f.Offload = o
	f.TrimFront(vnet.Len)
	return ok
}

// Send implements ustack.Queue.
func (q *queue) Send(frames []*frame.Frame) (int, error) {
	sent := 0
	var failed error
	for len(frames) > 0 {
		part := frames[:min(len(frames), bunch)]
		frames = frames[len(part):]
		for i, f := range part {
			if q.offload {
				o := f.Offload
				vnet.Put(f.Prepend(vnet.Len), &o)
			}
			q.point(i, f.Bytes())
		}
		for i := 0; i < len(part); {
			k, _, no := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&q.messages[i])), uintptr(len(part)-i), unix.MSG_DONTWAIT, 0, 0)
			switch no {
			case 0:
				i += int(k)
				sent += int(k)
				continue
			case unix.EINTR:
				continue
			case unix.EAGAIN, unix.ENOBUFS, unix.ENETDOWN, unix.EMSGSIZE, unix.EINVAL:
				i++ // no room, or a frame that the kernel dislikes: dropped
			default:
				failed = fmt.Errorf("packet: sendmmsg: %w", no)
				i++
			}
		}
		for _, f := range part {
			q.pool.Put(f)
		}
	}
	return sent, failed
}

// lookAgain is how often a queue looks whether an interface that is down is still there:
// the kernel tells of the first but not of the second.
const lookAgain = 200 * time.Millisecond

// Wait implements ustack.Queue.
func (q *queue) Wait(timeout time.Duration) error {
	if q.down && (timeout < 0 || timeout > lookAgain) {
		timeout = lookAgain
	}
	err := q.Sleeper.Wait(q.fd, timeout)
	if err != nil {
		// Asking takes the error away.
		no, _ := unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if unix.Errno(no) != unix.ENETDOWN {
			return err
		}
		q.down = true
	}
	if q.down {
		return q.gone()
	}
	return nil
}

// gone returns an error if the interface is no more; else it may come up again.
func (q *queue) gone() error {
	a, err := unix.Getsockname(q.fd)
	if l, ok := a.(*unix.SockaddrLinklayer); err == nil && ok && l.Ifindex > 0 {
		return nil
	}
	return errors.New("packet: the interface is gone")
}

// Close implements ustack.Queue.
func (q *queue) Close() error {
	for _, f := range q.empty[:q.nEmpty] {
		q.pool.Put(f)
	}
	q.nEmpty = 0
	return q.Sleeper.Close()
}
