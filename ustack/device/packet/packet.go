// Package packet attaches a stack to a network interface through a packet socket
// (packet(7)): it sees all frames that arrive there, beside the kernel. The interface
// should have no IP address in the kernel, which would answer too. Linux only; it needs
// CAP_NET_RAW over the network namespace of the calling thread.
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

// Config describes a device.
type Config struct {
	Interface string // its name
	// Offload lets segments of up to 64 KiB pass uncut and without checksum, both
	// ways, as between the interface and the kernel.
	Offload bool
	// BufferBytes is how much the kernel keeps until it is received; 0: 8 MiB.
	BufferBytes int
}

const (
	ethernetLen = 14
	longest     = 65535 + ethernetLen
	segmentMax  = 65535 - 60 - 60
	bunch       = 64 // frames per system call
)

// Device is a network interface.
type Device struct {
	info ustack.DeviceInfo
	cfg  Config
	fd   int
}

// New attaches to an interface.
func New(cfg Config) (*Device, error) {
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = 8 << 20
	}
	nic, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("packet: %s: %w", cfg.Interface, err)
	}
	d := &Device{cfg: cfg, info: ustack.DeviceInfo{
		Name: cfg.Interface, Link: ustack.LinkEthernet, MTU: nic.MTU, Queues: 1, ReceiveSize: nic.MTU + ethernetLen,
	}}
	if len(nic.HardwareAddr) != len(d.info.HWAddr) {
		return nil, fmt.Errorf("packet: %s has no Ethernet address", cfg.Interface)
	}
	copy(d.info.HWAddr[:], nic.HardwareAddr)
	if cfg.Offload {
		d.info.Headroom, d.info.SendChecksum, d.info.SegmentSize, d.info.ReceiveSize = vnet.Len, true, segmentMax, longest
	}
	if d.fd, err = attach(cfg, nic.Index); err != nil {
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: CAP_NET_RAW is needed", err)
		}
		return nil, fmt.Errorf("packet: %s: %w", cfg.Interface, err)
	}
	return d, nil
}

// attach opens the socket. It is bound last, so that no frame comes in before its
// options are set.
func attach(cfg Config, index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		buffer(fd, cfg.BufferBytes),
	)
	if cfg.Offload {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	}
	if err == nil {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// buffer sets the receive buffer, beyond the system's limit if that is allowed.
func buffer(fd, n int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
}

// Info implements ustack.Device.
func (d *Device) Info() ustack.DeviceInfo { return d.info }

// Open implements ustack.Device.
func (d *Device) Open(_ int, pool *frame.Pool) (ustack.Queue, error) {
	s, err := wake.New()
	if err != nil {
		return nil, fmt.Errorf("packet: %w", err)
	}
	return &queue{Sleeper: s, fd: d.fd, pool: pool, offload: d.cfg.Offload}, nil
}

// Close implements ustack.Device.
func (d *Device) Close() error { return unix.Close(d.fd) }

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
		return 0, nil // it may come up again
	default:
		return 0, fmt.Errorf("packet: recvmmsg: %w", no)
	}
	n, got := 0, int(k)
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

// Wait implements ustack.Queue.
func (q *queue) Wait(timeout time.Duration) error { return q.Sleeper.Wait(q.fd, timeout) }

// Close implements ustack.Queue.
func (q *queue) Close() error {
	for _, f := range q.empty[:q.nEmpty] {
		q.pool.Put(f)
	}
	q.nEmpty = 0
	return q.Sleeper.Close()
}
