//go:build !amd64 && !arm64

package sysx

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send is send(2), blocking, without the scheduler of Go being told: for
// threads that do nothing else. b must not be empty.
func Send(fd int, b []byte, flags int) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// Recv is recv(2), as Send.
func Recv(fd int, b []byte, flags int) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// Raw makes any system call, as Send does. Memory that an argument points to must be
// on the heap and kept alive by the caller: the compiler does not see it.
func Raw(num, a1, a2, a3, a4, a5, a6 uintptr) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(num, a1, a2, a3, a4, a5, a6)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}
