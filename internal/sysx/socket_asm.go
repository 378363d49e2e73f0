//go:build amd64 || arm64

package sysx

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw6 makes a system call and returns what the kernel left in the result
// register: a value from -4095 to -1 is an error number (see errno(3)).
//
//go:noescape
func raw6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1 uintptr)

// Send is send(2), blocking, without the scheduler of Go being told and without
// the layers of package syscall: for threads that do nothing else. b must not be
// empty.
func Send(fd int, b []byte, flags int) (int, unix.Errno) {
	return result(raw6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0))
}

// Recv is recv(2), as Send.
func Recv(fd int, b []byte, flags int) (int, unix.Errno) {
	return result(raw6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0))
}

// Raw makes any system call, as Send does. Memory that an argument points to must be
// on the heap and kept alive by the caller: the compiler does not see it.
func Raw(num, a1, a2, a3, a4, a5, a6 uintptr) (int, unix.Errno) {
	return result(raw6(num, a1, a2, a3, a4, a5, a6))
}

func result(r uintptr) (int, unix.Errno) {
	if n := int(r); n >= 0 {
		return n, 0
	}
	return 0, unix.Errno(-r)
}
