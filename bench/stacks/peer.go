package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// peerMain is the kernel's end: one thread that serves all connections by epoll, with raw
// system calls, so that Go's scheduler and collector take no part.
func peerMain() int {
	debug.SetGCPercent(-1)
	return obey(func(o order) (func() counts, func(), error) {
		p := &peer{kind: o.Kind, buf: make([]byte, 256<<10), state: map[int32]bool{}}
		var err error
		if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return nil, nil, err
		}
		if o.Kind == send || o.Kind == crr {
			err = p.listen()
		} else {
			for range o.Flows {
				err = errors.Join(err, p.connect())
			}
		}
		if err != nil {
			return nil, nil, err
		}
		go p.run()
		return p.counts, func() {}, nil
	})
}

// peer is the kernel's end. Of the kinds of work it does the other side's.
type peer struct {
	tally
	kind     kind
	epoll    int
	listener int32
	buf      []byte
	state    map[int32]bool // crrOf: connections that are not established yet
}

// chunk is how much is written at once, in bytes.
const chunk = 64 << 10

func (p *peer) listen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.listener = int32(fd)
	return errors.Join(
		cubic(fd),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: port}),
		unix.Listen(fd, 1024),
		p.watch(int32(fd), unix.EPOLLIN),
	)
}

// cubic is set at each socket, since the system's default may be another. Nagle's
// algorithm stays on: without it each write of 64 KiB ends in a segment of 376 bytes.
func cubic(fd int) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
}

func (p *peer) watch(fd int32, events uint32) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: events, Fd: fd})
}

// connect begins a connection. For crrOf it goes on when it is established; for others
// it is waited for.
func (p *peer) connect() error {
	flags := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if p.kind == crrOf {
		flags |= unix.SOCK_NONBLOCK
	}
	fd, err := unix.Socket(unix.AF_INET, flags, 0)
	if err != nil {
		return err
	}
	if err := cubic(fd); err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 9, 0, 2}, Port: port})
	if err != nil && !(p.kind == crrOf && errors.Is(err, unix.EINPROGRESS)) {
		return fmt.Errorf("connect to the stack: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	switch p.kind {
	case receive:
		return p.watch(int32(fd), unix.EPOLLOUT)
	case rr:
		if err := p.watch(int32(fd), unix.EPOLLIN); err != nil {
			return err
		}
		_, err := unix.Write(fd, p.buf[:1])
		return err
	}
	p.state[int32(fd)] = true
	return p.watch(int32(fd), unix.EPOLLOUT)
}

// run is the loop. It ends with the process, or with the first failure.
func (p *peer) run() {
	runtime.LockOSThread()
	var events [64]unix.EpollEvent
	for {
		n, no := epollWait(p.epoll, events[:])
		if no != 0 && no != unix.EINTR {
			p.fail(os.NewSyscallError("epoll_pwait", no))
			return
		}
		for i := range n {
			if err := p.serve(events[i].Fd, events[i].Events); err != nil {
				p.fail(fmt.Errorf("%s: %w", p.kind, err))
				return
			}
		}
	}
}

// serve does what a file descriptor is ready for.
func (p *peer) serve(fd int32, events uint32) error {
	if fd == p.listener {
		return p.accept()
	}
	switch p.kind {
	case receive:
		n, no := call(unix.SYS_WRITE, fd, p.buf[:chunk])
		if no != 0 && no != unix.EAGAIN {
			return os.NewSyscallError("write", no)
		}
		p.bytes.Add(uint64(n))
	case send:
		n, no := call(unix.SYS_READ, fd, p.buf)
		if no != 0 && no != unix.EAGAIN {
			return os.NewSyscallError("read", no)
		}
		p.bytes.Add(uint64(n))
		if n == 0 && no == 0 {
			return unix.Close(int(fd))
		}
	case rr:
		n, no := call(unix.SYS_READ, fd, p.buf)
		if no != 0 || n == 0 {
			return fmt.Errorf("read: %d bytes, %w", n, no)
		}
		p.transactions.Add(1)
		if _, no := call(unix.SYS_WRITE, fd, p.buf[:1]); no != 0 {
			return os.NewSyscallError("write", no)
		}
	case crr:
		n, no := call(unix.SYS_READ, fd, p.buf)
		switch {
		case no == 0 && n == 0:
			return unix.Close(int(fd))
		case no == 0:
			_, no = call(unix.SYS_WRITE, fd, p.buf[:n])
		}
		if no != 0 && no != unix.EAGAIN {
			return os.NewSyscallError("answer", no)
		}
	case crrOf:
		return p.transact(fd, events)
	}
	return nil
}

// transact takes a client's connection one step on.
func (p *peer) transact(fd int32, events uint32) error {
	if p.state[fd] {
		if events&unix.EPOLLERR != 0 {
			return errors.New("connection refused")
		}
		delete(p.state, fd)
		if _, no := call(unix.SYS_WRITE, fd, p.buf[:1]); no != 0 {
			return os.NewSyscallError("write", no)
		}
		return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd})
	}
	n, no := call(unix.SYS_READ, fd, p.buf)
	if no == unix.EAGAIN {
		return nil
	}
	if no != 0 || n != 1 {
		return fmt.Errorf("read: %d bytes, %w", n, no)
	}
	p.transactions.Add(1)
	if err := unix.Close(int(fd)); err != nil {
		return err
	}
	return p.connect()
}

func (p *peer) accept() error {
	for {
		fd, _, err := unix.Accept4(int(p.listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err == nil {
			err = p.watch(int32(fd), unix.EPOLLIN)
		}
		if err != nil {
			return err
		}
	}
}
