package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// nic is what is to be known of an interface.
type nic struct {
	index  int
	queues int  // receive queues in use
	veth   bool // no wire: its peer may leave checksums out
}

// look asks the kernel about an interface.
func look(name string, index int) (n nic, err error) {
	n = nic{index: index, queues: 1}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return n, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(s)
	if info, err := unix.IoctlGetEthtoolDrvinfo(s, name); err == nil {
		n.veth = unix.ByteSliceToString(info.Driver[:]) == "veth"
	}
	// Drivers that do not tell have one queue.
	if c, err := channels(s, name); err == nil {
		n.queues = max(int(c.Rx+c.Combined), 1)
	} else if !errors.Is(err, unix.EOPNOTSUPP) {
		return n, fmt.Errorf("ask for its queues: %w", err)
	}
	return n, nil
}

// takeMulticast makes the NIC let the neighbour solicitations for addresses in. That
// lasts as long as the socket.
func takeMulticast(index int, addresses []netip.Addr) (fd int, err error) {
	// Of protocol 0: it gets no frames.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	for _, a := range addresses {
		if !a.Is6() {
			continue
		}
		b := a.As16()
		group := unix.PacketMreq{
			Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
			Address: [8]byte{0x33, 0x33, 0xff, b[13], b[14], b[15]}, // RFC 4291, 2.7.1; RFC 2464, 7
		}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group); err != nil {
			return -1, errors.Join(fmt.Errorf("join the group of %v: %w", a, err), unix.Close(fd))
		}
	}
	return fd, nil
}
