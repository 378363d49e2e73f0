package xdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolChannels is struct ethtool_channels of include/uapi/linux/ethtool.h.
type ethtoolChannels struct {
	Cmd                                 uint32
	MaxRx, MaxTx, MaxOther, MaxCombined uint32
	Rx, Tx, Other, Combined             uint32
}

// channels returns how many queues an interface uses.
func channels(s int, name string) (c ethtoolChannels, err error) {
	c.Cmd = unix.ETHTOOL_GCHANNELS
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	req.data = unsafe.Pointer(&c)
	if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); no != 0 {
		return c, no
	}
	return c, nil
}

// register makes memory the socket's, in chunks.
func register(fd int, memory []byte, chunk int) error {
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), Len: uint64(len(memory)), Size: uint32(chunk)}
	_, _, no := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG, uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0)
	return failure(no)
}

// offsets asks where in the mappings of its rings a socket has what.
func offsets(fd int) (o unix.XDPMmapOffsets, err error) {
	n := uint32(unsafe.Sizeof(o))
	_, _, no := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS, uintptr(unsafe.Pointer(&o)), uintptr(unsafe.Pointer(&n)), 0)
	return o, failure(no)
}

func failure(no unix.Errno) error {
	if no != 0 {
		return no
	}
	return nil
}

// counter returns the word of a ring's mapping at an offset.
func counter(m []byte, at uint64) *uint32 { return (*uint32)(unsafe.Pointer(&m[at])) }

// entries returns the n entries of a ring's mapping that begin at an offset.
func entries[E any](m []byte, at uint64, n int) []E {
	return unsafe.Slice((*E)(unsafe.Pointer(&m[at])), n)
}

// kick makes the kernel send what is in the send ring, or as much as it does at a time.
func kick(fd int) unix.Errno {
	_, _, no := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return no
}

// refill makes the driver look at the fill ring.
func refill(fd int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
