package agent

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// vanishTimeout is how long a control connection outlives its peer's host: one that was
// switched off or unplugged says no goodbye.
const vanishTimeout = 30 * time.Second

// noticeVanishing makes the kernel end the connection about d after the peer was last heard of,
// be it idle (SO_KEEPALIVE) or with data on the way (TCP_USER_TIMEOUT, see tcp(7)).
func noticeVanishing(conn *net.TCPConn, d time.Duration) error {
	err := conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d / 3, Interval: d / 6, Count: 3})
	if err != nil {
		return fmt.Errorf("SO_KEEPALIVE: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((d * 5 / 6).Milliseconds()))
	}); err != nil {
		return err
	}
	if inner != nil {
		return fmt.Errorf("TCP_USER_TIMEOUT: %w", inner)
	}
	return nil
}
