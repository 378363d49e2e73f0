// Package tun is the kernel's TUN and TAP device: packets that the kernel routes to
// the interface come to the stack, and what the stack sends enters the kernel as if
// received there. Linux only; it needs CAP_NET_ADMIN over the network namespace of the
// calling thread.
//
// The interface appears with the device and goes with it. Its address, MTU and state
// are the caller's to set, before the stack is made.
package tun

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/vnet"
	"github.com/stackmeter/stackmeter/ustack/device/wake"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Config describes a device. The zero Config is a TUN of one queue with a name that
// the kernel picks.
type Config struct {
	Name   string // may hold a %d; "": tun%d or tap%d
	TAP    bool   // Ethernet frames, not IP packets
	Queues int    // 0: 1
	// Offload lets segments of up to 64 KiB pass uncut and without checksum, both
	// ways.
	Offload bool
}

// longest is the longest packet that the kernel hands out with Offload, in bytes.
const longest = 65535 + 14

// Device is a TUN or TAP interface.
type Device struct {
	info ustack.DeviceInfo
	cfg  Config
	fds  []int
}

// New makes the interface, or attaches to a persistent one of that name.
func New(cfg Config) (*Device, error) {
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Name == "" {
		cfg.Name = map[bool]string{false: "tun%d", true: "tap%d"}[cfg.TAP]
	}
	d := &Device{cfg: cfg}
	for range cfg.Queues {
		fd, name, err := open(cfg)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("tun: %s: %w", cfg.Name, err), d.Close())
		}
		d.fds = append(d.fds, fd)
		d.cfg.Name, cfg.Name = name, name
	}
	d.info = ustack.DeviceInfo{Name: d.cfg.Name, Queues: cfg.Queues}
	if cfg.TAP {
		d.info.Link = ustack.LinkEthernet
		_, _ = rand.Read(d.info.HWAddr[:])         // never fails
		d.info.HWAddr[0] = d.info.HWAddr[0]&^1 | 2 // one station, locally administered
	}
	if cfg.Offload {
		d.info.Headroom, d.info.SendChecksum, d.info.SegmentSize = vnet.Len, true, segmentMax
	}
	return d, d.readMTU()
}

// segmentMax is the TCP payload of the longest IP packet with the longest headers.
const segmentMax = 65535 - 60 - 60

// open makes one queue.
func open(cfg Config) (fd int, name string, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(cfg.Name)
	if err == nil {
		req.SetUint16(flags(cfg))
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil && cfg.Offload {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	if err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: CAP_NET_ADMIN is needed", err)
		}
		return -1, "", err
	}
	return fd, req.Name(), nil
}

func flags(cfg Config) uint16 {
	f := uint16(unix.IFF_TUN)
	if cfg.TAP {
		f = unix.IFF_TAP
	}
	f |= unix.IFF_NO_PI
	if cfg.Offload {
		f |= unix.IFF_VNET_HDR
	}
	if cfg.Queues > 1 {
		f |= unix.IFF_MULTI_QUEUE
	}
	return f
}

// readMTU asks the kernel for the interface's MTU.
func (d *Device) readMTU() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq(d.cfg.Name)
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCGIFMTU, req)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("tun: MTU of %s: %w", d.cfg.Name, err), d.Close())
	}
	d.SetMTU(int(req.Uint32()))
	return nil
}

// SetMTU says what the interface's MTU is, where it was changed after New. It must not
// be called once a stack has the device.
func (d *Device) SetMTU(mtu int) {
	d.info.MTU, d.info.ReceiveSize = mtu, mtu+14
	if d.cfg.Offload {
		d.info.ReceiveSize = longest
	}
}

// Name returns the name of the interface.
func (d *Device) Name() string { return d.cfg.Name }

// Info implements ustack.Device.
func (d *Device) Info() ustack.DeviceInfo { return d.info }

// Open implements ustack.Device.
func (d *Device) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	s, err := wake.New()
	if err != nil {
		return nil, fmt.Errorf("tun: %w", err)
	}
	return &queue{Sleeper: s, fd: d.fds[i], pool: pool, offload: d.cfg.Offload}, nil
}

// Close implements ustack.Device: the interface goes.
func (d *Device) Close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	d.fds = nil
	return errors.Join(errs...)
}

type queue struct {
	*wake.Sleeper
	fd      int
	pool    *frame.Pool
	offload bool
	spare   *frame.Frame // empty, for the next packet
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	n := 0
	for n < len(into) {
		f := q.spare
		if f == nil {
			if f = q.pool.One(); f == nil {
				return n, nil // what was received must be read first
			}
			q.spare = f
		}
		tail := f.Tail()
		k, _, no := unix.RawSyscall(unix.SYS_READ, uintptr(q.fd), uintptr(unsafe.Pointer(&tail[0])), uintptr(len(tail)))
		switch no {
		case 0:
		case unix.EAGAIN:
			return n, nil
		case unix.EINTR:
			continue
		default:
			return n, fmt.Errorf("tun: read: %w", no)
		}
		f.Extend(int(k))
		if q.offload {
			if !q.strip(f) {
				f.Reset(q.pool.Config().Headroom)
				continue
			}
		}
		into[n] = f
		n++
		q.spare = nil
	}
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
	for _, f := range frames {
		if q.offload {
			o := f.Offload
			vnet.Put(f.Prepend(vnet.Len), &o)
		}
		b := f.Bytes()
		_, _, no := unix.RawSyscall(unix.SYS_WRITE, uintptr(q.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch no {
		case 0:
			sent++
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EIO, unix.EINVAL:
			// No room, the interface is down, or a packet that the kernel dislikes.
		default:
			failed = fmt.Errorf("tun: write: %w", no)
		}
		q.pool.Put(f)
	}
	return sent, failed
}

// Wait implements ustack.Queue.
func (q *queue) Wait(timeout time.Duration) error { return q.Sleeper.Wait(q.fd, timeout) }

// Close implements ustack.Queue.
func (q *queue) Close() error {
	if q.spare != nil {
		q.pool.Put(q.spare)
		q.spare = nil
	}
	return q.Sleeper.Close()
}
