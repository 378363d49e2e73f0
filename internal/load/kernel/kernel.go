// Package kernel carries flows over the kernel's sockets. Send and Recv are raw
// system calls: the scheduler of Go is not told, which saves its bookkeeping at each end of
// the call and is right for threads that do nothing else.
package kernel

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// Engine is the engine "kernel".
type Engine struct{}

// Listen prepares the server's end.
func (Engine) Listen(f *load.FlowSpec) (load.Listener, error) {
	switch f.Transport {
	case "", load.TCP:
		return listenTCP(f)
	}
	return nil, notYet(f)
}

// Dial makes the client's end.
func (Engine) Dial(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	switch f.Transport {
	case "", load.TCP:
		return dialTCP(f, id, to, o)
	}
	return nil, notYet(f)
}

func notYet(f *load.FlowSpec) error {
	return fmt.Errorf("transport %q: the engine \"kernel\" has none of this name", f.Transport)
}

// Poller is epoll.
func (Engine) Poller() (load.Poller, error) { return newPoller() }

// sockaddr is an address as system calls take it.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	s := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	return s
}

// local is the address that a socket is bound to.
func local(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("getsockname: %w", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("getsockname: an address of type %T", sa)
}

// family is the address family of a flow's sockets.
func family(a netip.Addr) int {
	if a.Is6() && !a.Is4In6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func seconds(d time.Duration) unix.Timeval { return unix.NsecToTimeval(d.Nanoseconds()) }
