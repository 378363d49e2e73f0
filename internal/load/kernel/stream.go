package kernel

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// stream is a connected stream socket.
type stream struct {
	fd    int
	flags int // of each call
	more  int // MSG_MORE, or 0
	mptcp bool
}

// newSocket makes a socket with its options set: buffers must be in place before
// listen or connect to decide the window scale (tcp(7)).
func newSocket(f *load.FlowSpec, family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol(f))
	if err != nil {
		return -1, missing(f, err)
	}
	if err := establish(fd, options(f, family)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// newStream makes a transport of a connected socket, which has sent or received the token.
func newStream(fd int, f *load.FlowSpec, o load.DialOptions) (load.Transport, error) {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, fmt.Errorf("SO_DOMAIN: %w", err)
	}
	if err := establish(fd, options(f, family)); err != nil {
		return nil, err
	}
	if err := waitForMessages(fd, f); err != nil {
		return nil, err
	}
	s := &stream{fd: fd, mptcp: f.Transport == load.MPTCP}
	if s.mptcp {
		if _, err := subflows(fd); err != nil {
			return nil, err
		}
	}
	if o.Polled {
		s.flags = unix.MSG_DONTWAIT
		// For the calls that take no flags.
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("set O_NONBLOCK: %w", err)
		}
	}
	return withMethods(s, f)
}

func dialStream(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	remote, err := parseAddress(f, to)
	if err != nil {
		return nil, err
	}
	if o.Reopens {
		return newConnector(f, remote, o)
	}
	fd, err := newSocket(f, family(f, remote.sa))
	if err != nil {
		return nil, err
	}
	t, err := open(fd, f, id, remote, o)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	return t, nil
}

// open connects a socket and says whose it is.
func open(fd int, f *load.FlowSpec, id int, remote address, o load.DialOptions) (load.Transport, error) {
	if err := bindClient(fd, f); err != nil {
		return nil, err
	}
	if err := connect(fd, remote.sa, o.Timeout); err != nil {
		return nil, err
	}
	p := wire.Opening(f, id)
	if n, err := unix.Write(fd, p); err != nil || n != len(p) {
		return nil, fmt.Errorf("send the token: %w", err)
	}
	if f.SinglePort {
		if err := awaitTaken(fd, o.Timeout); err != nil {
			return nil, err
		}
	}
	return newStream(fd, f, o)
}

// bindClient binds a client's socket to the address that the flow asks for. The port is
// left to connect, which finds more of them.
func bindClient(fd int, f *load.FlowSpec) error {
	if !f.Local.IsValid() || f.Transport == load.Unix || f.Transport == load.VSock {
		return nil
	}
	sa, err := sockaddr(f.Local)
	if err != nil {
		return err
	}
	if f.Local.Port() == 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("bind to %v: %w", f.Local, err)
	}
	return nil
}

func connect(fd int, to unix.Sockaddr, timeout time.Duration) error {
	// SO_SNDTIMEO bounds a blocking connect (socket(7)); vsock has its own.
	tv := unix.NsecToTimeval(timeout.Nanoseconds())
	if _, ok := to.(*unix.SockaddrVM); ok {
		_ = unix.SetsockoptTimeval(fd, unix.AF_VSOCK, unix.SO_VM_SOCKETS_CONNECT_TIMEOUT, &tv)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	for {
		err := unix.Connect(fd, to)
		switch err {
		case unix.EINTR:
			continue
		case nil, unix.EISCONN:
			var forever unix.Timeval
			return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &forever)
		case unix.EINPROGRESS, unix.EAGAIN: // the latter on unix sockets
			return fmt.Errorf("no answer within %v", timeout)
		}
		return err
	}
}

func (s *stream) Send(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Send(s.fd, b, s.flags|s.more|unix.MSG_NOSIGNAL); errno != unix.EINTR {
			return n, errno
		}
	}
}

func (s *stream) Recv(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Recv(s.fd, b, s.flags); errno != unix.EINTR {
			return n, errno
		}
	}
}

// descriptor is what a poller watches.
func (s *stream) descriptor(load.Wait) int { return s.fd }

func (s *stream) Info() load.SocketInfo {
	i := info(s.fd)
	if s.mptcp {
		i.Subflows, _ = subflows(s.fd)
	}
	return i
}

func (s *stream) Abort() { _ = unix.Shutdown(s.fd, unix.SHUT_RDWR) }
func (s *stream) Close() { unix.Close(s.fd) }

// info reads what the kernel says of a socket; what it does not say stays zero.
func info(fd int) load.SocketInfo {
	var i load.SocketInfo
	i.SendBufferBytes, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	i.ReceiveBufferBytes, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if p, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || p != unix.IPPROTO_TCP && p != unix.IPPROTO_MPTCP {
		return i
	}
	i.Congestion, _ = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err == nil {
		i.NoDelay = v != 0
	}
	if ti, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		i.Retransmits = uint64(ti.Total_retrans)
		i.CongestionWindow, i.MaxSegmentBytes = ti.Snd_cwnd, ti.Snd_mss
		i.RTTMicroseconds, i.RTTVarMicroseconds, i.MinRTTMicroseconds = ti.Rtt, ti.Rttvar, ti.Min_rtt
		i.DeliveryRate = ti.Delivery_rate
		i.BusyMicroseconds, i.WindowMicroseconds, i.SendBufferMicroseconds = ti.Busy_time, ti.Rwnd_limited, ti.Sndbuf_limited
	}
	return i
}
