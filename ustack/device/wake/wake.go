// Package wake lets a thread sleep until a file descriptor is ready or another
// thread wakes it, for the queues of devices.
package wake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// states of a Sleeper.
const (
	awake    uint32 = iota
	sleeping        // in ppoll or about to be
	woken           // Wake was called
)

// Sleeper is one sleeper's bed. Wake costs a system call only where someone sleeps.
type Sleeper struct {
	state atomic.Uint32
	mu    sync.Mutex // keeps event from being closed, and its number used again, in mid-write
	event int        // -1 once closed
}

// New makes a Sleeper. It takes one file descriptor.
func New() (*Sleeper, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &Sleeper{event: fd}, nil
}

// Wake makes the Wait that is going on, or else the next one, return.
func (s *Sleeper) Wake() {
	if s.state.Swap(woken) != sleeping {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.event >= 0 {
		// The counter can't run full: a write needs a sleeper that was not woken yet.
		_, _ = unix.Write(s.event, one[:])
	}
}

// Wait returns when fd (none, if negative) can be read, Wake was called since Wait
// last returned, or timeout has passed (never, if negative). One goroutine may call
// it at a time.
func (s *Sleeper) Wait(fd int, timeout time.Duration) error {
	if !s.state.CompareAndSwap(awake, sleeping) {
		s.state.Store(awake)
		return nil
	}
	fds := [2]unix.PollFd{{Fd: int32(s.event), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		limit = &ts
	}
	_, err := unix.Ppoll(fds[:], limit, nil)
	if s.state.Swap(awake) == woken || fds[0].Revents != 0 {
		var count [8]byte
		// EAGAIN where the waker has not written yet: the next Wait returns early, and
		// reads what that one wrote.
		_, _ = unix.Read(s.event, count[:])
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("ppoll: %w", err)
	}
	if fds[1].Revents&(unix.POLLNVAL|unix.POLLERR) != 0 {
		return fmt.Errorf("wait for a device: poll says %#x", fds[1].Revents)
	}
	return nil
}

// Close frees the file descriptor. No Wait may be going on or follow; Wake may, and
// does nothing.
func (s *Sleeper) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.event < 0 {
		return nil
	}
	err := unix.Close(s.event)
	s.event = -1
	return err
}
