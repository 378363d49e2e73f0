package kernel

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// newSocket makes a socket with its buffers set: they must be in place before
// listen or connect to decide the window scale (tcp(7)).
func newSocket(f *load.FlowSpec, a netip.Addr) (int, error) {
	fd, err := unix.Socket(family(a), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	if err := configure(fd, f); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// configure sets the flow's options and reads each back: one that is not in
// force is an error.
func configure(fd int, f *load.FlowSpec) error {
	for _, b := range []struct {
		opt, force, asked int
		name, limit       string
	}{
		{unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, f.SendBufferBytes, "SO_SNDBUF", "net.core.wmem_max"},
		{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, f.ReceiveBufferBytes, "SO_RCVBUF", "net.core.rmem_max"},
	} {
		if b.asked == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.opt, b.asked); err != nil {
			return fmt.Errorf("%s=%d: %w", b.name, b.asked, err)
		}
		// The kernel doubles the value for its own overhead (socket(7)).
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, b.opt); err != nil || got < 2*b.asked {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.force, b.asked)
			if got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, b.opt); err != nil || got < 2*b.asked {
				return fmt.Errorf("%s=%d is not in force (kernel has %d, want %d): raise %s to %d", b.name, b.asked, got, 2*b.asked, b.limit, b.asked)
			}
		}
	}
	if err := label(fd, f); err != nil {
		return err
	}
	if err := pace(fd, f.PacingBytesPerSecond); err != nil {
		return err
	}
	if f.Congestion == "" {
		return nil
	}
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, f.Congestion); err != nil {
		return fmt.Errorf("congestion control %q: %w: see net.ipv4.tcp_available_congestion_control", f.Congestion, err)
	}
	got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil || got != f.Congestion {
		return fmt.Errorf("congestion control %q is not in force: kernel has %q", f.Congestion, got)
	}
	return nil
}

// label sets what marks the packets and where they leave.
func label(fd int, f *load.FlowSpec) error {
	noDelay := 0
	if f.NoDelay {
		noDelay = 1
	}
	for _, o := range []struct {
		name                 string
		level, option, value int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, noDelay},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, f.TOS},
		{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, f.Priority},
	} {
		if o.value == 0 { // as every new socket has it
			continue
		}
		if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && domain == unix.AF_INET6 && o.option == unix.IP_TOS && o.level == unix.IPPROTO_IP {
			o.name, o.level, o.option = "IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("%s=%d: %w", o.name, o.value, err)
		}
		if got, err := unix.GetsockoptInt(fd, o.level, o.option); err != nil || got != o.value {
			return fmt.Errorf("%s=%d is not in force: kernel has %d (%v)", o.name, o.value, got, err)
		}
	}
	if f.Device == "" {
		return nil
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, f.Device); err != nil {
		return fmt.Errorf("SO_BINDTODEVICE=%s: %w", f.Device, err)
	}
	if got, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || got != f.Device {
		return fmt.Errorf("SO_BINDTODEVICE=%s is not in force: kernel has %q (%v)", f.Device, got, err)
	}
	return nil
}

// pace bounds what the socket sends and reads it back (64 bits since Linux 4.20).
func pace(fd int, rate uint64) error {
	if rate == 0 {
		return nil
	}
	if err := unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, rate); err != nil {
		return fmt.Errorf("SO_MAX_PACING_RATE=%d: %w", rate, err)
	}
	if got, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE); err != nil || got != rate {
		return fmt.Errorf("SO_MAX_PACING_RATE=%d is not in force: kernel has %d (%v)", rate, got, err)
	}
	return nil
}

// waitForMessages sets what one receive call waits for. It comes after the
// token, which is shorter than most messages.
func waitForMessages(fd int, f *load.FlowSpec) error {
	if !f.WholeMessages {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, lowWater(f)); err != nil {
		return fmt.Errorf("SO_RCVLOWAT=%d: %w", lowWater(f), err)
	}
	if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT); err != nil || got != lowWater(f) {
		return fmt.Errorf("SO_RCVLOWAT=%d is not in force: kernel has %d (%v)", lowWater(f), got, err)
	}
	return nil
}

// lowWater is a message, but at most a quarter of a receive buffer of fixed size:
// the sender must not run out of window while the receiver waits.
func lowWater(f *load.FlowSpec) int {
	if f.ReceiveBufferBytes == 0 {
		return f.MessageBytes
	}
	return max(1, min(f.MessageBytes, f.ReceiveBufferBytes/4))
}
