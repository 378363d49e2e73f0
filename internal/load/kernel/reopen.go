package kernel

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// none is where a descriptor is when there is no connection.
const none = -1

// connector is the client's end of crr: each Reopen makes a new connection.
type connector struct {
	stream
	flow       *load.FlowSpec
	remote     netip.AddrPort
	polled     bool
	connecting bool
	sockaddr   *unix.RawSockaddrInet6 // large enough for IPv4 too
	length     uintptr
	ended      atomic.Bool
	last       load.SocketInfo
}

// newConnector checks that connections can be made as asked, by making a socket.
func newConnector(f *load.FlowSpec, remote netip.AddrPort, o load.DialOptions) (*connector, error) {
	fd, err := newSocket(f, remote.Addr())
	if err != nil {
		return nil, err
	}
	c := &connector{stream: stream{fd: none}, flow: f, remote: remote, polled: o.Polled, last: info(fd)}
	unix.Close(fd)
	c.flags = unix.MSG_WAITALL // until the server closes: the answer and the end in one call
	if o.Polled {
		c.flags = unix.MSG_DONTWAIT
	}
	c.sockaddr, c.length = rawSockaddr(remote)
	return c, nil
}

// rawSockaddr is an address as the system call itself takes it.
func rawSockaddr(a netip.AddrPort) (*unix.RawSockaddrInet6, uintptr) {
	raw := &unix.RawSockaddrInet6{}
	port := a.Port()<<8 | a.Port()>>8
	if ip := a.Addr().Unmap(); ip.Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		v4.Family, v4.Port, v4.Addr = unix.AF_INET, port, ip.As4()
		return raw, unix.SizeofSockaddrInet4
	}
	raw.Family, raw.Port, raw.Addr = unix.AF_INET6, port, a.Addr().As16()
	return raw, unix.SizeofSockaddrInet6
}

// Reopen closes the connection and connects anew. Options were read back once, when
// the flow was made; here they are only set.
func (c *connector) Reopen() unix.Errno {
	if c.connecting {
		return c.connected()
	}
	c.Hangup()
	if c.ended.Load() {
		return unix.ECANCELED
	}
	fd, errno := c.socket()
	if errno != 0 {
		return errno
	}
	c.fd = fd
	for {
		_, errno = sysx.Raw(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(c.sockaddr)), c.length, 0, 0, 0)
		runtime.KeepAlive(c)
		if errno != unix.EINTR {
			break
		}
	}
	if errno == unix.EINPROGRESS {
		c.connecting = true
		return unix.EAGAIN
	}
	return errno
}

// socket makes a socket with the flow's options. Most flows set none but NODELAY.
func (c *connector) socket() (int, unix.Errno) {
	kind := uintptr(unix.SOCK_STREAM | unix.SOCK_CLOEXEC)
	if c.polled {
		kind |= unix.SOCK_NONBLOCK
	}
	fd, errno := sysx.Raw(unix.SYS_SOCKET, uintptr(c.sockaddr.Family), kind, unix.IPPROTO_TCP, 0, 0, 0)
	if errno != 0 {
		return none, errno
	}
	if err := configure(fd, c.flow); err != nil {
		unix.Close(fd)
		return none, unix.EINVAL
	}
	if c.flow.Local.IsValid() {
		if err := unix.Bind(fd, sockaddr(c.flow.Local)); err != nil {
			unix.Close(fd)
			return none, unix.EADDRNOTAVAIL
		}
	}
	return fd, 0
}

// connected reports whether the connection is made.
func (c *connector) connected() unix.Errno {
	v, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	if v != 0 {
		return unix.Errno(v)
	}
	c.connecting = false
	return 0
}

// Hangup ends the connection.
func (c *connector) Hangup() {
	if c.fd != none {
		_, _ = sysx.Raw(unix.SYS_CLOSE, uintptr(c.fd), 0, 0, 0, 0, 0)
		c.fd = none
	}
}

func (c *connector) Info() load.SocketInfo { return c.last }
func (c *connector) Close()                { c.Hangup() }

// Abort makes the next Reopen fail. A connection in hand is short, and its descriptor is in
// the table of its own thread.
func (c *connector) Abort() { c.ended.Store(true) }

// acceptor is the server's end of crr: each Reopen accepts a connection.
type acceptor struct {
	stream
	listener *listener
	ended    atomic.Bool
	last     load.SocketInfo
}

// acceptPatience is how long a blocking acceptor waits for a client, and for what it says,
// before it looks whether it is stopped.
const acceptPatience = 100 * time.Millisecond

func newAcceptor(l *listener, o load.DialOptions) (*acceptor, error) {
	a := &acceptor{stream: stream{fd: none}, listener: l, last: info(l.fd)}
	if o.Polled {
		a.flags = unix.MSG_DONTWAIT
		if err := unix.SetNonblock(l.fd, true); err != nil {
			return nil, fmt.Errorf("set O_NONBLOCK: %w", err)
		}
		return a, nil
	}
	// Accepted sockets inherit it.
	tv := seconds(acceptPatience)
	if err := unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, fmt.Errorf("SO_RCVTIMEO: %w", err)
	}
	return a, nil
}

// Reopen closes the connection and accepts the next.
func (a *acceptor) Reopen() unix.Errno {
	a.Hangup()
	if a.ended.Load() {
		return unix.ECANCELED
	}
	fd, errno := sysx.Raw(unix.SYS_ACCEPT4, uintptr(a.listener.fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		if errno == unix.EINTR || errno == unix.ECONNABORTED {
			return unix.EAGAIN
		}
		return errno
	}
	a.fd = fd
	return 0
}

// Send leaves the answer to the close that follows, so that both go in one segment.
func (a *acceptor) Send(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Send(a.fd, b, a.flags|unix.MSG_NOSIGNAL|unix.MSG_MORE); errno != unix.EINTR {
			return n, errno
		}
	}
}

// Hangup ends the connection.
func (a *acceptor) Hangup() {
	if a.fd != none {
		_, _ = sysx.Raw(unix.SYS_CLOSE, uintptr(a.fd), 0, 0, 0, 0, 0)
		a.fd = none
	}
}

func (a *acceptor) Info() load.SocketInfo { return a.last }
func (a *acceptor) Close()                { a.Hangup() }

// Abort makes the next Reopen fail.
func (a *acceptor) Abort() { a.ended.Store(true) }

func (a *acceptor) descriptor(want load.Wait) int {
	if want == load.Acceptable {
		return a.listener.fd
	}
	return a.fd
}
