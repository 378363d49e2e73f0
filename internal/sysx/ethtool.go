package sysx

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxIndirection bounds an indirection table: drivers have 64 to 2048 entries.
const maxIndirection = 1 << 16

// RSSIndirection returns the receive queue of each entry of a NIC's RSS indirection
// table, in the network namespace of the calling thread (ETHTOOL_GRXFHINDIR,
// ethtool_get_rxfh_indir in net/ethtool/ioctl.c). The error wraps
// unix.EOPNOTSUPP where the NIC has no such table.
func RSSIndirection(nic string) ([]uint32, error) {
	head := []uint32{unix.ETHTOOL_GRXFHINDIR, 0}
	if err := ethtool(nic, "RSS indirection", head); err != nil {
		return nil, err
	}
	size := head[1]
	if size > maxIndirection {
		return nil, fmt.Errorf("RSS indirection of %s: %d entries: %w", nic, size, unix.E2BIG)
	}
	table := make([]uint32, 2+size)
	table[0], table[1] = unix.ETHTOOL_GRXFHINDIR, size
	if err := ethtool(nic, "RSS indirection", table); err != nil {
		return nil, err
	}
	return table[2:], nil
}

// SetRSSIndirection writes a NIC's RSS indirection table, which must have as many entries as
// [RSSIndirection] returns (ETHTOOL_SRXFHINDIR, ethtool_set_rxfh_indir in net/ethtool/ioctl.c). The error
// wraps unix.EINVAL where an entry names a queue that the NIC doesn't have.
func SetRSSIndirection(nic string, table []uint32) error {
	buf := append([]uint32{unix.ETHTOOL_SRXFHINDIR, uint32(len(table))}, table...)
	return ethtool(nic, "RSS indirection", buf)
}

// rxnfcWords is struct ethtool_rxnfc, in words of 32 bits; the number of rings is in its
// field data.
const (
	rxnfcWords = 48
	rxnfcData  = 2
)

// ReceiveRings returns how many receive queues RSS may lead to (ETHTOOL_GRXRINGS).
func ReceiveRings(nic string) (int, error) {
	buf := make([]uint32, rxnfcWords)
	buf[0] = unix.ETHTOOL_GRXRINGS
	if err := ethtool(nic, "number of receive rings", buf); err != nil {
		return 0, err
	}
	n := *(*uint64)(unsafe.Pointer(&buf[rxnfcData]))
	if n > maxIndirection {
		return 0, fmt.Errorf("number of receive rings of %s: %d: %w", nic, n, unix.EPROTO)
	}
	return int(n), nil
}

// Of struct ethtool_link_settings, in words of 32 bits: the fixed part, and the one with
// link_mode_masks_nwords in its last byte as memory has it.
const (
	linkSettingsWords = 12
	linkMasksByte     = 15
)

// SupportedLinkModes returns the bit mask of the link modes that a NIC supports
// (ETHTOOL_GLINKSETTINGS; bits are ETHTOOL_LINK_MODE_..._BIT of include/uapi/linux/ethtool.h).
func SupportedLinkModes(nic string) ([]uint32, error) {
	buf := make([]uint32, linkSettingsWords)
	buf[0] = unix.ETHTOOL_GLINKSETTINGS
	if err := ethtool(nic, "link settings", buf); err != nil {
		return nil, err
	}
	// A request for no words is answered by how many there are, negative.
	words := -int8(unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), 4*len(buf))[linkMasksByte])
	if words <= 0 {
		return nil, fmt.Errorf("link settings of %s: the kernel offers %d words of link modes: %w", nic, words, unix.EPROTO)
	}
	buf = make([]uint32, linkSettingsWords+3*int(words))
	buf[0] = unix.ETHTOOL_GLINKSETTINGS
	unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), 4*len(buf))[linkMasksByte] = byte(words)
	if err := ethtool(nic, "link settings", buf); err != nil {
		return nil, err
	}
	return buf[linkSettingsWords:][:words], nil
}

// ethtool makes one request about a NIC, which the kernel answers in place.
func ethtool(nic, what string, buf []uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	defer unix.Close(fd)
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the kernel copies a whole struct ifreq
	}
	copy(req.name[:unix.IFNAMSIZ-1], nic)
	req.data = unsafe.Pointer(&buf[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return fmt.Errorf("%s of %s: %w", what, nic, errno)
	}
	return nil
}
