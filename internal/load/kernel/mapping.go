package kernel

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// mapping receives by having the kernel map the pages that the NIC or the sender filled
// (TCP_ZEROCOPY_RECEIVE). Only whole, aligned pages can be mapped; all else is copied,
// so both are counted. What was mapped is not looked at.
type mapping struct {
	*stream
	memory         []byte // of the socket
	argument       *zeroCopyReceive
	length         *uint32 // of the argument
	mapped, copied uint64
	poll           *unix.PollFd
}

// zeroCopyReceive is struct tcp_zerocopy_receive (linux/tcp.h) as of Linux 5.4;
// later kernels take it for what it was.
type zeroCopyReceive struct {
	address  uint64
	length   uint32
	skipHint uint32 // bytes that must be received otherwise
	inQueue  uint32
	errno    int32
}

func newMapping(s *stream, f *load.FlowSpec) (receiver, error) {
	const what, mend = `receive_method "zerocopy"`, "use tcp on Linux 4.18 or later, or another receive method"
	if f.Transport != "" && f.Transport != load.TCP {
		return nil, notSupported(what, fmt.Errorf("transport %q does not map pages", f.Transport), mend)
	}
	page := os.Getpagesize()
	memory, err := unix.Mmap(s.fd, 0, (f.MessageBytes+page-1)/page*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, notSupported(what, fmt.Errorf("map the socket: %w", err), mend)
	}
	m := &mapping{stream: s, memory: memory, argument: &zeroCopyReceive{}, length: new(uint32), poll: &unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN}}
	if errno := m.take(); errno != 0 {
		m.release()
		return nil, notSupported(what, errno, mend)
	}
	m.mapped += uint64(m.argument.length) // bytes of the flow's, should any be there
	return m, nil
}

// take maps what can be mapped of what has arrived; it does not wait.
func (m *mapping) take() unix.Errno {
	*m.argument = zeroCopyReceive{address: uint64(uintptr(unsafe.Pointer(&m.memory[0]))), length: uint32(len(m.memory))}
	*m.length = uint32(unsafe.Sizeof(*m.argument))
	_, errno := sysx.Raw(unix.SYS_GETSOCKOPT, uintptr(m.fd), unix.IPPROTO_TCP, unix.TCP_ZEROCOPY_RECEIVE,
		uintptr(unsafe.Pointer(m.argument)), uintptr(unsafe.Pointer(m.length)), 0)
	runtime.KeepAlive(m)
	return errno
}

func (m *mapping) Recv(b []byte) (int, unix.Errno) {
	for {
		switch errno := m.take(); errno {
		case 0:
		case unix.EIO: // the end of the stream (tcp_zerocopy_receive in net/ipv4/tcp.c)
			return 0, 0
		case unix.EINTR:
			continue
		default:
			return 0, errno
		}
		mapped, rest := int(m.argument.length), int(m.argument.skipHint)
		m.mapped += uint64(mapped)
		if mapped > 0 && rest == 0 {
			return mapped, 0
		}
		flags := unix.MSG_DONTWAIT
		if rest == 0 { // look for an error or the end of the stream alone
			flags |= unix.MSG_PEEK
		}
		n, errno := sysx.Recv(m.fd, b[:max(1, min(rest, len(b)))], flags)
		if errno == 0 && n > 0 {
			if rest == 0 {
				continue // it has just come: map it
			}
			m.copied += uint64(n)
		}
		switch {
		case mapped > 0:
			return mapped + n, 0
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return n, errno
		case m.flags&unix.MSG_DONTWAIT != 0:
			return 0, unix.EAGAIN
		}
		_, _ = sysx.Raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(m.poll)), 1, 0, 0, 0, 0)
		runtime.KeepAlive(m)
	}
}

func (m *mapping) report(i *load.SocketInfo) { i.MappedBytes, i.CopiedBytes = m.mapped, m.copied }
func (m *mapping) release()                  { _ = unix.Munmap(m.memory) }
