package kernel

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
)

// listener accepts the data connections of some flows on a stream socket. Strangers,
// who do not open with the token, are hung up on and never hold up the others.
type listener struct {
	flow    *load.FlowSpec
	fd      int
	address string
	undo    func() // removes what the address left in the file system
	pending []visitor
	next    int // crr: the flow that is given out next
}

// visitor is a connection that has not said yet whose it is.
type visitor struct {
	fd    int
	until time.Time
	said  []byte
}

// Bounds of what strangers can hold.
const (
	maxVisitors     = 64
	visitorPatience = time.Second
)

// listen makes a listening socket.
func listen(f *load.FlowSpec) (*listener, error) {
	sa, undo, err := own(f)
	if err != nil {
		return nil, err
	}
	fd, err := newSocket(f, family(f, sa))
	if err != nil {
		undo()
		return nil, err
	}
	l := &listener{flow: f, fd: fd, undo: undo, next: f.ID}
	if f.Transport != load.Unix && f.Transport != load.VSock {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, min(4096, max(64, f.Flows()))) // the kernel's default bound (net.core.somaxconn)
	}
	if err == nil {
		l.address, err = told(fd)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %v: %w", f.Local, err)
	}
	return l, nil
}

func (l *listener) Address() string { return l.address }

func (l *listener) Close() {
	for _, v := range l.pending {
		unix.Close(v.fd)
	}
	l.pending = nil
	unix.Close(l.fd)
	l.undo()
}

func (l *listener) Accept(o load.DialOptions) (int, load.Transport, error) {
	if o.Reopens {
		id := l.next
		l.next++
		t, err := newAcceptor(l, o)
		return id, t, err
	}
	for deadline := time.Now().Add(o.Timeout); ; {
		left := time.Until(deadline)
		if left <= 0 {
			return 0, nil, fmt.Errorf("no client came to %s within %v", l.address, o.Timeout)
		}
		fd, id, err := l.visit(left)
		if err != nil {
			return 0, nil, fmt.Errorf("wait for clients on %s: %w", l.address, err)
		}
		if fd < 0 {
			continue
		}
		t, err := newStream(fd, l.flow, o)
		if err != nil {
			unix.Close(fd)
			return 0, nil, err
		}
		return id, t, nil
	}
}

// visit waits for something to happen, at most for left, and returns a connection that has
// opened with the token, or -1.
func (l *listener) visit(left time.Duration) (fd, id int, err error) {
	polled := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	for _, v := range l.pending {
		polled = append(polled, unix.PollFd{Fd: int32(v.fd), Events: unix.POLLIN})
	}
	if len(l.pending) > 0 {
		left = min(left, visitorPatience)
	}
	if _, err := unix.Poll(polled, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
		return -1, 0, err
	}
	for i := range l.pending {
		if polled[i+1].Revents == 0 {
			continue
		}
		if id, ok := l.hear(i); ok {
			fd := l.pending[i].fd
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			return fd, id, nil
		}
	}
	l.dismiss()
	if polled[0].Revents != 0 {
		l.welcome()
	}
	return -1, 0, nil
}

// hear reads what visitor i has to say. One that says something wrong is shut out: its time
// is up.
func (l *listener) hear(i int) (id int, ok bool) {
	v := &l.pending[i]
	b := make([]byte, wire.OpeningBytes-len(v.said))
	n, _, err := unix.Recvfrom(v.fd, b, unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, false
	case err != nil || n == 0:
		v.until = time.Time{}
		return 0, false
	}
	if v.said = append(v.said, b[:n]...); len(v.said) < wire.OpeningBytes {
		return 0, false
	}
	if id, ok = wire.Opens(l.flow, v.said); !ok {
		v.until = time.Time{}
	}
	return id, ok
}

// dismiss hangs up on visitors whose time is up.
func (l *listener) dismiss() {
	kept := l.pending[:0]
	for _, v := range l.pending {
		if time.Now().Before(v.until) {
			kept = append(kept, v)
		} else {
			unix.Close(v.fd)
		}
	}
	l.pending = kept
}

// welcome accepts a connection; the visitor who has been there longest makes room.
func (l *listener) welcome() {
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return // it went away between poll and accept
	}
	if len(l.pending) == maxVisitors {
		unix.Close(l.pending[0].fd)
		l.pending = l.pending[1:]
	}
	l.pending = append(l.pending, visitor{fd: fd, until: time.Now().Add(visitorPatience)})
}
