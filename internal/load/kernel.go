package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// kernel carries flows over the kernel's TCP with blocking sockets. Send and
// Recv are raw system calls: the scheduler of Go is not told, which saves its
// bookkeeping at each end of the call.
type kernel struct{}

type tcpListener struct {
	fd   int
	port uint16
}

type tcpConn struct{ fd int }

func (kernel) Listen(f *FlowSpec) (Listener, error) {
	fd, err := newSocket(f)
	if err != nil {
		return nil, err
	}
	port, err := listenOn(fd, f.Local)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen on %v: %w", f.Local, err)
	}
	return &tcpListener{fd: fd, port: port}, nil
}

func listenOn(fd int, at netip.AddrPort) (uint16, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, sockaddr(at)); err != nil {
		return 0, err
	}
	if err := unix.Listen(fd, 16); err != nil {
		return 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	if v4, ok := sa.(*unix.SockaddrInet4); ok {
		return uint16(v4.Port), nil
	}
	return uint16(sa.(*unix.SockaddrInet6).Port), nil
}

func (l *tcpListener) Port() uint16 { return l.port }
func (l *tcpListener) Close()       { unix.Close(l.fd) }

func (l *tcpListener) Accept(f *FlowSpec, timeout time.Duration) (Transport, error) {
	deadline := time.Now().Add(timeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("no sender came to flow %d on port %d within %v", f.ID, l.port, timeout)
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == unix.EINTR || (err == nil && ready == 0) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("wait for the sender of flow %d: %w", f.ID, err)
		}
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		if err != nil {
			continue // it went away between poll and accept
		}
		if opensWith(fd, f.Token) {
			if err := errors.Join(configure(fd, f), waitForMessages(fd, f)); err != nil {
				unix.Close(fd)
				return nil, err
			}
			return &tcpConn{fd: fd}, nil
		}
		unix.Close(fd)
	}
}

// opensWith reads the token; a peer that is slow or wrong is not ours.
func opensWith(fd int, want Token) bool {
	second := unix.Timeval{Sec: 1}
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second) != nil {
		return false
	}
	var got Token
	n, _, err := unix.Recvfrom(fd, got[:], unix.MSG_WAITALL)
	if err != nil || n != len(got) || !bytes.Equal(got[:], want[:]) {
		return false
	}
	var forever unix.Timeval
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &forever) == nil
}

func (kernel) Dial(f *FlowSpec, timeout time.Duration) (Transport, error) {
	fd, err := newSocket(f)
	if err != nil {
		return nil, err
	}
	if err := connect(fd, f, timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect flow %d to %v: %w", f.ID, f.Remote, err)
	}
	if err := configure(fd, f); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &tcpConn{fd: fd}, nil
}

func connect(fd int, f *FlowSpec, timeout time.Duration) error {
	if f.Local.IsValid() {
		if err := unix.Bind(fd, sockaddr(f.Local)); err != nil {
			return fmt.Errorf("bind to %v: %w", f.Local, err)
		}
	}
	// SO_SNDTIMEO bounds a blocking connect (socket(7)).
	tv := unix.NsecToTimeval(timeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	for {
		err := unix.Connect(fd, sockaddr(f.Remote))
		if err == unix.EINTR {
			continue
		}
		if err == unix.EINPROGRESS {
			return fmt.Errorf("no answer within %v", timeout)
		}
		if err != nil && err != unix.EISCONN {
			return err
		}
		break
	}
	if _, err := unix.Write(fd, f.Token[:]); err != nil {
		return fmt.Errorf("send the token: %w", err)
	}
	var forever unix.Timeval
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &forever)
}

// newSocket makes a socket with its buffers set: they must be in place before
// listen or connect to decide the window scale (tcp(7)).
func newSocket(f *FlowSpec) (int, error) {
	family := unix.AF_INET
	if a := f.addr(); a.Is6() && !a.Is4In6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("socket for flow %d: %w", f.ID, err)
	}
	if err := configure(fd, f); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (f *FlowSpec) addr() netip.Addr {
	if f.Remote.IsValid() {
		return f.Remote.Addr()
	}
	return f.Local.Addr()
}

// configure sets the flow's options and reads each back: one that is not in
// force is an error.
func configure(fd int, f *FlowSpec) error {
	for _, b := range []struct {
		opt, force, asked int
		name, limit       string
	}{
		{unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, f.SendBufferBytes, "SO_SNDBUF", "net.core.wmem_max"},
		{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, f.ReceiveBufferBytes, "SO_RCVBUF", "net.core.rmem_max"},
	} {
		if b.asked == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.opt, b.asked); err != nil {
			return fmt.Errorf("%s=%d: %w", b.name, b.asked, err)
		}
		// The kernel doubles the value for its own overhead (socket(7)).
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, b.opt); err != nil || got < 2*b.asked {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.force, b.asked)
			if got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, b.opt); err != nil || got < 2*b.asked {
				return fmt.Errorf("%s=%d is not in force (kernel has %d, want %d): raise %s to %d", b.name, b.asked, got, 2*b.asked, b.limit, b.asked)
			}
		}
	}
	noDelay := 0
	if f.NoDelay {
		noDelay = 1
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, noDelay); err != nil {
		return fmt.Errorf("TCP_NODELAY=%d: %w", noDelay, err)
	}
	if err := pace(fd, f.PacingBytesPerSecond); err != nil {
		return err
	}
	if f.Congestion == "" {
		return nil
	}
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, f.Congestion); err != nil {
		return fmt.Errorf("congestion control %q: %w: see net.ipv4.tcp_available_congestion_control", f.Congestion, err)
	}
	got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil || got != f.Congestion {
		return fmt.Errorf("congestion control %q is not in force: kernel has %q", f.Congestion, got)
	}
	return nil
}

// pace bounds what the socket sends and reads it back (64 bits since Linux 4.20).
func pace(fd int, rate uint64) error {
	if rate == 0 {
		return nil
	}
	if err := unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, rate); err != nil {
		return fmt.Errorf("SO_MAX_PACING_RATE=%d: %w", rate, err)
	}
	if got, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE); err != nil || got != rate {
		return fmt.Errorf("SO_MAX_PACING_RATE=%d is not in force: kernel has %d (%v)", rate, got, err)
	}
	return nil
}

// waitForMessages sets what one receive call waits for. It comes after the
// token, which is shorter than most messages.
func waitForMessages(fd int, f *FlowSpec) error {
	if !f.WholeMessages {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, f.lowWater()); err != nil {
		return fmt.Errorf("SO_RCVLOWAT=%d: %w", f.lowWater(), err)
	}
	if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT); err != nil || got != f.lowWater() {
		return fmt.Errorf("SO_RCVLOWAT=%d is not in force: kernel has %d (%v)", f.lowWater(), got, err)
	}
	return nil
}

// lowWater is a message, but at most a quarter of a receive buffer of fixed size:
// the sender must not run out of window while the receiver waits.
func (f *FlowSpec) lowWater() int {
	if f.ReceiveBufferBytes == 0 {
		return f.MessageBytes
	}
	return max(1, min(f.MessageBytes, f.ReceiveBufferBytes/4))
}

func (c *tcpConn) Send(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Send(c.fd, b, unix.MSG_NOSIGNAL); errno != unix.EINTR {
			return n, errno
		}
	}
}

func (c *tcpConn) Recv(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Recv(c.fd, b, 0); errno != unix.EINTR {
			return n, errno
		}
	}
}

func (c *tcpConn) Info() SocketInfo {
	var i SocketInfo
	i.SendBufferBytes, _ = unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	i.ReceiveBufferBytes, _ = unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	i.Congestion, _ = unix.GetsockoptString(c.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if v, err := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err == nil {
		i.NoDelay = v != 0
	}
	if ti, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		i.Retransmits = uint64(ti.Total_retrans)
	}
	return i
}

func (c *tcpConn) Abort() { _ = unix.Shutdown(c.fd, unix.SHUT_RDWR) }
func (c *tcpConn) Close() { unix.Close(c.fd) }

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
}
