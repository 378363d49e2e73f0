package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// data hands a connection over that is a data connection of the load that is served (see
// [load.FlowSpec.SinglePort]), and reports whether it is. It looks at the first byte, which TLS's
// never is, and only while there is a session: everybody else waits for a handshake.
func (a *Listener) data(ctx context.Context, g *guest) (bool, error) {
	tcp, ok := g.conn.(*net.TCPConn)
	if !ok || !a.occupied() {
		return false, nil
	}
	if err := tcp.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false, err
	}
	var n int
	var peeked error
	first := make([]byte, 1)
	if err := raw.Read(func(fd uintptr) bool {
		n, _, peeked = unix.Recvfrom(int(fd), first, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return peeked != unix.EAGAIN && peeked != unix.EINTR
	}); err != nil {
		return false, err
	}
	if peeked != nil {
		return false, peeked
	}
	if n == 0 {
		return false, io.EOF
	}
	if first[0] != load.DataMagic[0] {
		return false, tcp.SetReadDeadline(time.Time{})
	}
	opening := make([]byte, load.DataPreambleBytes)
	if _, err := io.ReadFull(tcp, opening); err != nil {
		return true, err
	}
	if string(opening[:len(load.DataMagic)]) != load.DataMagic {
		return true, errors.New("neither TLS nor a data connection")
	}
	var handed error
	if err := raw.Control(func(fd uintptr) { handed = a.handOver(int(fd), opening) }); err != nil {
		return true, err
	}
	return true, handed
}

// handOver gives a data connection to the load that is served.
func (a *Listener) handOver(fd int, opening []byte) error {
	a.mu.Lock()
	m := a.serving
	a.mu.Unlock()
	if m == nil {
		return load.ErrNotAwaited
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pool == nil {
		return fmt.Errorf("%w: no load is prepared", load.ErrNotAwaited)
	}
	return m.pool.HandOver(fd, opening)
}
