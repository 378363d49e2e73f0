package stacklab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
)

// messageBytes is what one call of the sender writes and the reader has room for.
const messageBytes = 64 << 10

// port is where the stack listens.
const port = 7001

// stream is one connection from the kernel to a stack made for it.
type stream struct {
	stack *ustack.Stack
	conn  net.Conn
	fd    int // the kernel's end, blocking
	reads atomic.Uint64
	done  sync.WaitGroup
}

// start makes a stack with the techniques and lets the kernel send to it.
func (l *lab) start(ctx context.Context, mtu int, t ustack.Techniques, around func(bool, func(dst, src []byte) int) func(dst, src []byte) int) (s *stream, err error) {
	if err := l.space.setMTU(mtu); err != nil {
		return nil, err
	}
	var device *packet.Device
	if err := l.space.do(func() (err error) {
		device, err = packet.New(packet.Config{Interface: stackNIC})
		return err
	}); err != nil {
		return nil, err
	}
	s = &stream{fd: -1}
	s.stack, err = ustack.New(ustack.Config{Device: device, Addresses: []netip.Prefix{stackAddress}, Techniques: t, AroundCopy: around})
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	listener, err := s.stack.Listen("tcp", netip.AddrPortFrom(stackAddress.Addr(), port).String())
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if err := l.space.do(s.dial); err != nil {
		return nil, err
	}
	if s.conn, err = listener.Accept(); err != nil {
		return nil, err
	}
	s.done.Go(func() { s.send(l.report.Sender) })
	s.done.Go(s.read)
	return s, nil
}

// dial connects the kernel's end.
func (s *stream) dial() (err error) {
	if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	// The default may pace, which costs the sender CPU time; where it can't be had, so be it.
	_ = unix.SetsockoptString(s.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	if err := unix.Connect(s.fd, &unix.SockaddrInet4{Addr: stackAddress.Addr().As4(), Port: port}); err != nil {
		return fmt.Errorf("connect from the kernel to the stack: %w", err)
	}
	return nil
}

// send writes until the connection ends, on a CPU of its own.
func (s *stream) send(cpu int) {
	runtime.LockOSThread() // never unlocked: it is confined
	_ = sysx.SetAffinity(0, []int{cpu})
	b := make([]byte, messageBytes)
	for {
		if _, err := unix.Write(s.fd, b); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (s *stream) read() {
	b := make([]byte, messageBytes)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			return
		}
		if n > 0 {
			s.reads.Add(1)
		}
	}
}

// enoughFrames is what a window must have seen; it is prolonged until it has, up to
// longest times: a stream may stand still for a while after losses.
const (
	enoughFrames = 500
	longest      = 40
)

// measure lets the stream run for a while, and calls edge at both edges of a window.
func (l *lab) measure(ctx context.Context, s *stream, edge func()) error {
	warm, window := l.spans()
	if err := wait(ctx, warm); err != nil {
		return err
	}
	edge()
	begin := s.stack.Counters()[receivedFrames]
	for range longest {
		if err := wait(ctx, window); err != nil {
			return err
		}
		if s.stack.Counters()[receivedFrames]-begin >= enoughFrames {
			break
		}
	}
	edge()
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// stop ends the stream and waits until nothing of it runs.
func (s *stream) stop() error {
	if s.fd >= 0 {
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR)
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.done.Wait()
	err := s.stack.Close()
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
	return err
}
