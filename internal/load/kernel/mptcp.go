package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/mptcp.h: the option and the start of struct mptcp_info.
const (
	mptcpInfo         = 1
	mptcpFlagFallback = 1
	mptcpFlagsAt      = 8
)

var errFellBack = errors.New("transport: mptcp is not in force: the connection fell back to TCP; the other end, or something between, does not speak it (see net.mptcp.enabled)")

// subflows is how many TCP connections carry a connection of MPTCP.
func subflows(fd int) (int, error) {
	if p, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || p != unix.IPPROTO_MPTCP {
		return 0, errFellBack
	}
	var b [256]byte
	length := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_MPTCP, mptcpInfo, uintptr(unsafe.Pointer(&b)), uintptr(unsafe.Pointer(&length)), 0)
	switch {
	case errno == unix.EOPNOTSUPP:
		return 0, errFellBack
	case errno != 0:
		return 0, fmt.Errorf("MPTCP_INFO: %w", errno)
	case binary.NativeEndian.Uint32(b[mptcpFlagsAt:])&mptcpFlagFallback != 0:
		return 0, errFellBack
	}
	return int(b[0]) + 1, nil // those beside the first
}
