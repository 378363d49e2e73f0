package scenario

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// pingSocket is a socket for echo requests, which needs no rights and lets the kernel
// cut and sum them (Linux: ping_group_range).
func pingSocket(network string) (net.PacketConn, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if network == "udp6" {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	return net.FilePacketConn(f)
}
