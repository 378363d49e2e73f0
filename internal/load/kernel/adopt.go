package kernel

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
)

// adopted is the server's end of flows whose clients come to the agent's own port: it has no
// socket and is given connections. They are of the agent's listening socket, so a size of
// the receive buffer comes too late for the window scale (tcp(7)).
type adopted struct {
	flow *load.FlowSpec
	come chan adoptee
	done chan struct{}
}

type adoptee struct{ fd, id int }

// taken is the byte by which a client learns that its connection has reached the worker. Without
// it one client could have more of them on the way than an agent lets strangers have.
const taken = 1

// awaitTaken is the client's side of it.
func awaitTaken(fd int, timeout time.Duration) error {
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(timeout); ; {
		n, err := unix.Poll(polled, int(max(0, time.Until(deadline)).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("the agent's port took the connection for no flow within %v", timeout)
		}
		b := make([]byte, 1)
		if n, err := unix.Read(fd, b); err != nil || n != 1 || b[0] != taken {
			return fmt.Errorf("the agent's port hung up: no flow awaits the connection there (%v)", err)
		}
		return nil
	}
}

// handedOver is the address of such a server: the controller knows the agent's.
const handedOver = "agent"

func adopt(f *load.FlowSpec) (*adopted, error) {
	if f.Transport != "" && f.Transport != load.TCP {
		return nil, fmt.Errorf("single_port: an agent's port takes tcp, not %s", f.Transport)
	}
	return &adopted{flow: f, come: make(chan adoptee, f.Flows()), done: make(chan struct{})}, nil
}

func (a *adopted) Address() string { return handedOver }

// Adopt implements [load.Adopter].
func (a *adopted) Adopt(fd int, opening []byte) error {
	if len(opening) != load.DataPreambleBytes || string(opening[:len(load.DataMagic)]) != load.DataMagic {
		return errors.New("no opening of a data connection")
	}
	id, ok := wire.Opens(a.flow, opening[len(load.DataMagic):])
	if !ok {
		return load.ErrNotAwaited
	}
	select {
	case <-a.done:
	default:
		select {
		case a.come <- adoptee{fd, id}:
			_, err := unix.Write(fd, []byte{taken}) // one byte always fits
			return err
		default:
		}
	}
	return fmt.Errorf("flow %d: %w any more", id, load.ErrNotAwaited)
}

func (a *adopted) Accept(o load.DialOptions) (int, load.Transport, error) {
	late := time.NewTimer(o.Timeout)
	defer late.Stop()
	select {
	case <-late.C:
		return 0, nil, fmt.Errorf("no client came to the agent's port within %v", o.Timeout)
	case c := <-a.come:
		t, err := a.transport(c.fd, o)
		if err != nil {
			unix.Close(c.fd)
			return 0, nil, err
		}
		return c.id, t, nil
	}
}

// transport undoes what the agent, whose runtime accepted the connection, has set.
func (a *adopted) transport(fd int, o load.DialOptions) (load.Transport, error) {
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, fmt.Errorf("clear O_NONBLOCK: %w", err)
	}
	for _, opt := range []option{
		number("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0),
		number("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0),
		number("TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0),
	} {
		if err := opt.establish(fd); err != nil {
			return nil, err
		}
	}
	return newStream(fd, a.flow, o)
}

// Close refuses who comes later.
func (a *adopted) Close() {
	close(a.done)
	for {
		select {
		case c := <-a.come:
			unix.Close(c.fd)
		default:
			return
		}
	}
}
