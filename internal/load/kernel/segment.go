package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// maxUDP is the largest payload of a UDP packet over IPv4, before it is segmented too.
const maxUDP = 65507

// segmented makes a socket send messages as datagrams of SegmentBytes
// (UDP_SEGMENT, udp(7)), where a message is more than one. What the kernel would
// refuse in mid-run is refused here.
func segmented(d *datagrams, f *load.FlowSpec) error {
	if f.SegmentBytes == 0 || f.SegmentBytes >= f.MessageBytes {
		return nil
	}
	d.segment = f.SegmentBytes
	if f.MessageBytes > maxUDP {
		return fmt.Errorf("message_bytes: %d, the kernel segments at most %d (UDP_SEGMENT)", f.MessageBytes, maxUDP)
	}
	if err := fitsPath(d.fd, f); err != nil {
		return err
	}
	if last := f.MessageBytes % f.SegmentBytes; d.Numbered && last > 0 && last < load.DatagramHeader {
		return fmt.Errorf("message_bytes: %d leaves %d bytes for the last datagram at segment_bytes %d, which holds at least %d", f.MessageBytes, last, f.SegmentBytes, load.DatagramHeader)
	}
	o := number("UDP_SEGMENT", unix.IPPROTO_UDP, unix.UDP_SEGMENT, f.SegmentBytes)
	if err := o.establish(d.fd); err != nil {
		return notSupported(fmt.Sprintf("segment_bytes: %d", f.SegmentBytes), err, "use Linux 4.18 or later")
	}
	return segments(f)
}

// fitsPath holds a segment against the MTU of the socket's path.
func fitsPath(fd int, f *load.FlowSpec) error {
	headers := 28
	mtu, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	if domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); domain == unix.AF_INET6 {
		headers = 48
		mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU)
	}
	if err != nil {
		return fmt.Errorf("the path's MTU: %w", err)
	}
	if f.SegmentBytes+headers > mtu {
		return fmt.Errorf("segment_bytes: %d and %d of headers do not fit the path's MTU of %d: at most %d", f.SegmentBytes, headers, mtu, mtu-headers)
	}
	return nil
}

// segments tries on loopback whether the kernel makes so many datagrams of one message:
// its bound (UDP_MAX_SEGMENTS) was 64 and is 128 since Linux 6.9.
func segments(f *load.FlowSpec) error {
	n := (f.MessageBytes + f.SegmentBytes - 1) / f.SegmentBytes
	if n <= 64 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	var own unix.Sockaddr
	if err == nil {
		own, err = unix.Getsockname(fd)
	}
	if err == nil {
		err = unix.Connect(fd, own)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, f.SegmentBytes)
	}
	if err == nil {
		_, err = unix.Write(fd, make([]byte, f.MessageBytes))
	}
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("message_bytes: %d are %d datagrams at segment_bytes %d, more than this kernel makes of one (UDP_MAX_SEGMENTS)", f.MessageBytes, n, f.SegmentBytes)
	}
	return nil // loopback may be down
}
