package kernel

import (
	"fmt"
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
	to         *rawAddress
	local      *rawAddress // nil: any
	options    []option
	polled     bool
	connecting bool
	registered bool
	closed     bool // the server has closed: the last receive call told so
	ended      atomic.Bool
	last       load.SocketInfo
}

// newConnector checks that connections can be made as asked, by making a socket.
func newConnector(f *load.FlowSpec, remote address, o load.DialOptions) (*connector, error) {
	family := family(f, remote.sa)
	c := &connector{stream: stream{fd: none}, flow: f, to: raw(remote.sa), options: options(f, family), polled: o.Polled}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol(f))
	if err != nil {
		return nil, missing(f, err)
	}
	defer unix.Close(fd)
	if err := establish(fd, c.options); err != nil {
		return nil, err
	}
	if err := bindClient(fd, f); err != nil {
		return nil, err
	}
	if f.Local.IsValid() && c.to.any.Addr.Family != unix.AF_UNIX && c.to.any.Addr.Family != unix.AF_VSOCK {
		sa, err := sockaddr(f.Local)
		if err != nil {
			return nil, err
		}
		c.local = raw(sa)
		c.options = append(c.options, number("IP_BIND_ADDRESS_NO_PORT", unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	}
	c.last = info(fd)
	c.flags = unix.MSG_WAITALL // until the server closes: the answer and the end in one call
	if o.Polled {
		c.flags = unix.MSG_DONTWAIT
	}
	return c, nil
}

// Reopen closes the connection and connects anew. Options were read back once, when
// the flow was made; here they are only set.
func (c *connector) Reopen() unix.Errno {
	if c.connecting {
		// Whether it is, and with what error it is not, the next call tells.
		c.connecting = false
		return 0
	}
	c.Hangup()
	if c.ended.Load() {
		return unix.ECANCELED
	}
	fd, errno := c.socket()
	if errno != 0 {
		return errno
	}
	c.fd, c.closed, c.registered = fd, false, false
	for {
		_, errno = sysx.Raw(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&c.to.any)), c.to.length, 0, 0, 0)
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
	fd, errno := sysx.Raw(unix.SYS_SOCKET, uintptr(c.to.any.Addr.Family), kind, uintptr(protocol(c.flow)), 0, 0, 0)
	if errno != 0 {
		return none, errno
	}
	for i := range c.options {
		if errno := c.options[i].set(fd); errno != 0 {
			unix.Close(fd)
			return none, errno
		}
	}
	if c.local != nil {
		_, errno := sysx.Raw(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&c.local.any)), c.local.length, 0, 0, 0)
		runtime.KeepAlive(c)
		if errno != 0 {
			unix.Close(fd)
			return none, errno
		}
	}
	return fd, 0
}

// Recv is given one byte more of room than the answer has. A blocking call returns when the
// server has closed: less than was asked for is all there is, and the next call is saved.
func (c *connector) Recv(b []byte) (int, unix.Errno) {
	if c.closed {
		return 0, 0
	}
	n, errno := c.stream.Recv(b)
	c.closed = !c.polled && n > 0 && n == len(b)-1 // less: a signal may have come between
	return n, errno
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
	listener   *listener
	registered bool
	ended      atomic.Bool
	last       load.SocketInfo
	// patience is of each call, where accepted sockets do not inherit the listener's
	// (none but TCP's do); nil elsewhere.
	patience *option
	poll     *unix.PollFd // of the listener, before each accept of MPTCP, which knows no timeout
	wait     *unix.Timespec
}

// acceptPatience is how long a blocking acceptor waits for a client, and for what it says,
// before it looks whether it is stopped.
const acceptPatience = 100 * time.Millisecond

// deferSeconds is how long the kernel keeps a connection back that says nothing
// (TCP_DEFER_ACCEPT, tcp(7)).
const deferSeconds = 1

func newAcceptor(l *listener, o load.DialOptions) (*acceptor, error) {
	a := &acceptor{stream: stream{fd: none}, listener: l, last: info(l.fd)}
	if t := l.flow.Transport; o.Polled && (t == "" || t == load.TCP) {
		o := number("TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferSeconds)
		if err := o.establish(l.fd); err != nil {
			return nil, err
		}
		a.last.DeferredAccept = true
	}
	if o.Polled {
		a.flags = unix.MSG_DONTWAIT
		if err := unix.SetNonblock(l.fd, true); err != nil {
			return nil, fmt.Errorf("set O_NONBLOCK: %w", err)
		}
		return a, nil
	}
	tv := unix.NsecToTimeval(acceptPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, fmt.Errorf("SO_RCVTIMEO: %w", err)
	}
	if t := l.flow.Transport; t != "" && t != load.TCP {
		value := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&tv)), unsafe.Sizeof(tv))...)
		a.patience = &option{level: unix.SOL_SOCKET, number: unix.SO_RCVTIMEO, value: value}
		// Another thread may take the client between poll and accept.
		if err := unix.SetNonblock(l.fd, true); err != nil {
			return nil, fmt.Errorf("set O_NONBLOCK: %w", err)
		}
		a.poll, a.wait = &unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN}, &unix.Timespec{}
	}
	return a, nil
}

// Reopen closes the connection and accepts the next.
func (a *acceptor) Reopen() unix.Errno {
	a.Hangup()
	if a.ended.Load() {
		return unix.ECANCELED
	}
	if a.poll != nil {
		*a.wait = unix.NsecToTimespec(acceptPatience.Nanoseconds())
		n, errno := sysx.Raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(a.poll)), 1, uintptr(unsafe.Pointer(a.wait)), 0, 0, 0)
		runtime.KeepAlive(a)
		if errno != 0 || n == 0 {
			return unix.EAGAIN
		}
	}
	fd, errno := sysx.Raw(unix.SYS_ACCEPT4, uintptr(a.listener.fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		if errno == unix.EINTR || errno == unix.ECONNABORTED {
			return unix.EAGAIN
		}
		return errno
	}
	a.fd, a.registered = fd, false
	if a.patience != nil {
		return a.patience.set(fd)
	}
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

func (c *connector) register() bool { return first(&c.registered) }
func (a *acceptor) register() bool  { return first(&a.registered) }

// first sets what is not set and reports whether it was not.
func first(b *bool) bool {
	was := *b
	*b = true
	return !was
}
