package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call reads or writes b with a raw system call.
func call(number uintptr, fd int32, b []byte) (int, unix.Errno) {
	n, _, no := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if no != 0 {
		return 0, no
	}
	return int(n), 0
}

// epollWait waits for events without telling the scheduler.
func epollWait(fd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, no := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), 0
}
