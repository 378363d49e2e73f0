package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
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
	b, length := make([]byte, 256), new(uint32)
	*length = uint32(len(b))
	_, errno := sysx.Raw(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_MPTCP, mptcpInfo, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(length)), 0)
	runtime.KeepAlive(b)
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
