package kernel

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// stream is a connected stream socket.
type stream struct {
	fd    int
	flags int // of each call
}

func newStream(fd int, f *load.FlowSpec, o load.DialOptions) (*stream, error) {
	if err := configure(fd, f); err != nil {
		return nil, err
	}
	if err := waitForMessages(fd, f); err != nil {
		return nil, err
	}
	s := &stream{fd: fd}
	if o.Polled {
		s.flags = unix.MSG_DONTWAIT
	}
	return s, nil
}

func dialTCP(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	remote, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, fmt.Errorf("address %q: want ADDRESS:PORT", to)
	}
	if o.Reopens {
		return newConnector(f, remote, o)
	}
	fd, err := newSocket(f, remote.Addr())
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
func open(fd int, f *load.FlowSpec, id int, remote netip.AddrPort, o load.DialOptions) (load.Transport, error) {
	if f.Local.IsValid() {
		if err := unix.Bind(fd, sockaddr(f.Local)); err != nil {
			return nil, fmt.Errorf("bind to %v: %w", f.Local, err)
		}
	}
	if err := connect(fd, sockaddr(remote), o.Timeout); err != nil {
		return nil, err
	}
	if n, err := unix.Write(fd, preamble(f, id)); err != nil || n != preambleBytes {
		return nil, fmt.Errorf("send the token: %w", err)
	}
	return newStream(fd, f, o)
}

func connect(fd int, to unix.Sockaddr, timeout time.Duration) error {
	// SO_SNDTIMEO bounds a blocking connect (socket(7)).
	tv := seconds(timeout)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	for {
		err := unix.Connect(fd, to)
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
	var forever unix.Timeval
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &forever)
}

func (s *stream) Send(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Send(s.fd, b, s.flags|unix.MSG_NOSIGNAL); errno != unix.EINTR {
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

func (s *stream) Info() load.SocketInfo { return info(s.fd) }
func (s *stream) Abort()                { _ = unix.Shutdown(s.fd, unix.SHUT_RDWR) }
func (s *stream) Close()                { unix.Close(s.fd) }

// info reads what the kernel says of a socket; what it does not say stays zero.
func info(fd int) load.SocketInfo {
	var i load.SocketInfo
	i.SendBufferBytes, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	i.ReceiveBufferBytes, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	i.Congestion, _ = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err == nil {
		i.NoDelay = v != 0
	}
	if ti, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		i.Retransmits = uint64(ti.Total_retrans)
		i.CongestionWindow, i.MaxSegmentBytes = ti.Snd_cwnd, ti.Snd_mss
		i.RTTMicroseconds, i.RTTVarMicroseconds, i.MinRTTMicroseconds = ti.Rtt, ti.Rttvar, ti.Min_rtt
		i.DeliveryRate = ti.Delivery_rate
	}
	return i
}
