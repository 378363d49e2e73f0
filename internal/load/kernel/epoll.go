package kernel

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// poller is an epoll instance, level-triggered.
type poller struct {
	fd      int
	events  []unix.EpollEvent
	timeout *unix.Timespec
}

// watched is a transport of this package.
type watched interface {
	// descriptor is the one to watch for what is waited for.
	descriptor(want load.Wait) int
}

// shortLived is a transport whose connections are over soon. Each is watched once, by edges for
// all there is to wait for, and never told anew: crr reads and writes until the kernel says EAGAIN.
type shortLived interface {
	// register reports whether the connection is not watched yet, and that it is now.
	register() bool
}

func newPoller() (load.Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &poller{fd: fd, events: make([]unix.EpollEvent, 256), timeout: new(unix.Timespec)}, nil
}

func (p *poller) Watch(i int, t load.Transport, want load.Wait) error {
	e := unix.EpollEvent{Fd: int32(i)}
	if i < 0 { // the listener, which other threads watch too
		e.Events = unix.EPOLLIN | unix.EPOLLEXCLUSIVE
		op := unix.EPOLL_CTL_ADD
		if want == 0 {
			op = unix.EPOLL_CTL_DEL
		}
		return failed(unix.EpollCtl(p.fd, op, t.(watched).descriptor(load.Acceptable), &e), unix.EEXIST, unix.ENOENT)
	}
	if c, ok := t.(shortLived); ok {
		fd := t.(watched).descriptor(want)
		if fd < 0 || want == 0 || !c.register() {
			return nil // the kernel forgets a descriptor when it is closed
		}
		e.Events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET&0xffffffff
		return failed(unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e))
	}
	if want&load.Readable != 0 {
		e.Events |= unix.EPOLLIN
	}
	if want&load.Drained != 0 {
		e.Events |= unix.EPOLLET & 0xffffffff
	}
	if want&load.Writable != 0 {
		e.Events |= unix.EPOLLOUT
	}
	fd := t.(watched).descriptor(want)
	switch {
	case fd < 0: // it is closed, and the kernel has forgotten it
		return nil
	case want == 0:
		return failed(unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, &e), unix.ENOENT)
	}
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &e)
	if err == unix.ENOENT {
		err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e)
	}
	return failed(err)
}

// failed is the error of a call, but for those that are as good as none.
func failed(err error, fine ...unix.Errno) error {
	for _, e := range fine {
		if err == e {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (p *poller) Wait(ready []int32, timeout int64) (int, unix.Errno) {
	events := p.events[:min(len(p.events), len(ready))]
	var ts *unix.Timespec
	if timeout >= 0 {
		*p.timeout = unix.NsecToTimespec(timeout)
		ts = p.timeout
	}
	n, errno := sysx.Raw(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(ts)), 0, 0)
	runtime.KeepAlive(p)
	for k := range n {
		ready[k] = events[k].Fd
	}
	return n, errno
}

func (p *poller) Close() { unix.Close(p.fd) }
