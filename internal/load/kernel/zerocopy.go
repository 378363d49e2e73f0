package kernel

import (
	"encoding/binary"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// zeroCopySender sends with MSG_ZEROCOPY: the kernel sends from the caller's pages and
// tells on the socket's error queue when it needs them no more
// (Documentation/networking/msg_zerocopy.rst). The message is never changed, so
// nothing waits for that; it is only counted.
type zeroCopySender struct {
	*stream
	begun, done uint32 // sends; both wrap around, as the kernel's numbers do
	copied      uint64
	header      *unix.Msghdr
	control     *[128]byte
	poll        *unix.PollFd
	patience    *unix.Timespec
}

// Sends that the kernel has told nothing of yet.
const (
	reapFrom       = 32  // look at the error queue, once every so many sends
	maxOutstanding = 512 // wait; the kernel's own bound is net.core.optmem_max
)

// zeroCopyPatience is how long a blocking sender waits for the kernel before it looks
// whether it is stopped.
const zeroCopyPatience = 100 * time.Millisecond

func newZeroCopySender(s *stream) (*zeroCopySender, error) {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
		return nil, notSupported(`send_method "zerocopy"`, err, "use tcp on Linux 4.14 or later")
	}
	if got, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY); err != nil || got != 1 {
		return nil, notSupported(`send_method "zerocopy"`, unix.ENOPROTOOPT, "SO_ZEROCOPY is not in force after it was set")
	}
	z := &zeroCopySender{
		stream: s, header: &unix.Msghdr{}, control: &[128]byte{},
		poll: &unix.PollFd{Fd: int32(s.fd)}, patience: &unix.Timespec{},
	}
	z.header.Control = &z.control[0]
	return z, nil
}

func (z *zeroCopySender) Send(b []byte) (int, unix.Errno) {
	if out := z.begun - z.done; out >= reapFrom && out%reapFrom == 0 || out >= maxOutstanding {
		z.reap()
	}
	for {
		errno := unix.ENOBUFS
		if z.begun-z.done < maxOutstanding {
			var n int
			if n, errno = sysx.Send(z.fd, b, z.flags|unix.MSG_NOSIGNAL|unix.MSG_ZEROCOPY); errno == 0 {
				z.begun++
				return n, 0
			}
		}
		switch {
		case errno == unix.EINTR:
		case errno != unix.ENOBUFS:
			return 0, errno
		case z.reap():
		case z.flags&unix.MSG_DONTWAIT != 0:
			n, errno := z.stream.Send(b) // rather than to spin until the other end confirms
			if errno == 0 {
				z.copied++
			}
			return n, errno
		case !z.await():
			return 0, unix.EAGAIN
		}
	}
}

// await waits for the error queue, which poll reports unasked.
func (z *zeroCopySender) await() bool {
	*z.patience = unix.NsecToTimespec(zeroCopyPatience.Nanoseconds())
	n, errno := sysx.Raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(z.poll)), 1, uintptr(unsafe.Pointer(z.patience)), 0, 0, 0)
	runtime.KeepAlive(z)
	return errno == 0 && n > 0
}

// reap empties the error queue and reports whether there was anything in it.
func (z *zeroCopySender) reap() bool {
	for some := false; ; some = true {
		z.header.SetControllen(len(z.control))
		_, errno := sysx.Raw(unix.SYS_RECVMSG, uintptr(z.fd), uintptr(unsafe.Pointer(z.header)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0, 0)
		runtime.KeepAlive(z)
		if errno != 0 {
			return some
		}
		sends, copied := completions(z.control[:min(int(z.header.Controllen), len(z.control))])
		z.done += sends
		if copied {
			z.copied += uint64(sends)
		}
	}
}

// completions reads a message of the error queue: how many sends are done, and whether the
// kernel copied them after all (struct sock_extended_err, linux/errqueue.h).
func completions(control []byte) (sends uint32, copied bool) {
	for len(control) >= unix.SizeofCmsghdr {
		length := binary.NativeEndian.Uint64(control)
		level, kind := int32(binary.NativeEndian.Uint32(control[8:])), int32(binary.NativeEndian.Uint32(control[12:]))
		if length < unix.SizeofCmsghdr || length > uint64(len(control)) {
			return sends, copied
		}
		data := control[unix.SizeofCmsghdr:length]
		ip := level == unix.SOL_IP && kind == unix.IP_RECVERR || level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR
		if ip && len(data) >= 16 && data[4] == unix.SO_EE_ORIGIN_ZEROCOPY {
			first, last := binary.NativeEndian.Uint32(data[8:]), binary.NativeEndian.Uint32(data[12:])
			sends += last - first + 1
			copied = data[6]&unix.SO_EE_CODE_ZEROCOPY_COPIED != 0
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return sends, copied
}

func (z *zeroCopySender) report(i *load.SocketInfo) {
	z.reap()
	i.ZeroCopySends, i.ZeroCopyCopied = uint64(z.begun), z.copied
}

func (z *zeroCopySender) release() {}
