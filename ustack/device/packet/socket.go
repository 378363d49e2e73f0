package packet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// attach opens a socket. It is bound last, so that no frame comes in before its
// options are set.
func attach(cfg Config, index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = prepare(fd, cfg); err == nil {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// prepare sets a socket's options.
func prepare(fd int, cfg Config) error {
	flag := func(set bool, option int) error {
		if !set {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1)
	}
	err := errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, untagged()),
		flag(true, unix.PACKET_IGNORE_OUTGOING),
		flag(cfg.Offload, unix.PACKET_VNET_HDR),
		flag(cfg.BypassQdisc, unix.PACKET_QDISC_BYPASS),
	)
	if err != nil {
		return err
	}
	switch cfg.Ring {
	case NoRing:
		return buffer(fd, cfg.BufferBytes)
	case Slots:
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2)
	case Blocks:
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3)
	}
	return fmt.Errorf("ring %d: there is no such", cfg.Ring)
}

// untagged is a filter that lets frames without a VLAN tag pass. The kernel takes tags
// out of frames, so that a tagged one would look like one of the link itself.
func untagged() *unix.SockFprog {
	const tagPresent = 0xfffff000 + 48 // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT of linux/filter.h
	f := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: tagPresent},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	return &unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
}

// buffer sets the receive buffer, beyond the system's limit if that is allowed.
func buffer(fd, n int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
}

// spread makes sockets share their interface's frames, by flow. Until then each has
// got a copy of all.
func spread(fds []int) error {
	group := 0
	for i, fd := range fds {
		if i == 0 {
			group = unix.PACKET_FANOUT_FLAG_UNIQUEID << 16
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|unix.PACKET_FANOUT_HASH<<16); err != nil {
			return fmt.Errorf("join the group of %d sockets: %w", len(fds), err)
		}
		if i > 0 {
			continue
		}
		v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
		if err != nil {
			return fmt.Errorf("ask for the group of sockets: %w", err)
		}
		group = v & 0xffff
	}
	return nil
}
