package kernel

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
)

// rendezvous is the socket to which the clients of some flows say hello. Each flow gets a
// socket of its own, bound to the same address and connected to its client. Kernels before
// Linux 6.13 look at all sockets of an address for each datagram, which thousands of flows feel.
type rendezvous struct {
	flow   *load.FlowSpec
	fd     int
	own    unix.Sockaddr
	family int
	text   string
	guests []guest
	taken  map[int]bool
}

// guest is a client that has been answered and has not said thanks.
type guest struct {
	fd, id   int
	answered time.Time
}

func listenUDP(f *load.FlowSpec) (_ load.Listener, err error) {
	sa, _, err := own(f)
	if err != nil {
		return nil, err
	}
	r := &rendezvous{flow: f, family: family(f, sa), taken: map[int]bool{}}
	if r.fd, err = r.socket(sa); err != nil {
		return nil, fmt.Errorf("listen on %v: %w", f.Local, err)
	}
	if r.own, err = unix.Getsockname(r.fd); err == nil {
		r.text, err = told(r.fd)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// socket makes a socket of the flow's bound to an address, which it shares with others of this user.
func (r *rendezvous) socket(sa unix.Sockaddr) (int, error) {
	fd, err := datagramSocket(r.flow, r.family)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err == nil && r.own != nil {
		// Between bind and connect it would get other clients' datagrams: drop all.
		drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// connected makes the socket of a flow.
func (r *rendezvous) connected(client unix.Sockaddr) (int, error) {
	fd, err := r.socket(r.own)
	if err != nil {
		return -1, err
	}
	if err = unix.Connect(fd, client); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect a flow's socket to its client: %w", err)
	}
	return fd, nil
}

func (r *rendezvous) Address() string { return r.text }

func (r *rendezvous) Close() {
	for _, g := range r.guests {
		unix.Close(g.fd)
	}
	r.guests = nil
	unix.Close(r.fd)
}

func (r *rendezvous) Accept(o load.DialOptions) (int, load.Transport, error) {
	for deadline := time.Now().Add(o.Timeout); ; {
		left := time.Until(deadline)
		if left <= 0 {
			return 0, nil, fmt.Errorf("no client came to %s within %v", r.text, o.Timeout)
		}
		g, err := r.attend(min(left, wire.HelloEvery))
		if err != nil {
			return 0, nil, fmt.Errorf("wait for clients on %s: %w", r.text, err)
		}
		if g.fd < 0 {
			continue
		}
		d, err := newDatagrams(g.fd, r.flow, o)
		if err != nil {
			unix.Close(g.fd)
			return 0, nil, err
		}
		return g.id, d, nil
	}
}

// attend waits for something to happen and returns a guest that is satisfied, or one with
// descriptor -1.
func (r *rendezvous) attend(left time.Duration) (guest, error) {
	polled := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for _, g := range r.guests {
		polled = append(polled, unix.PollFd{Fd: int32(g.fd), Events: unix.POLLIN})
	}
	if _, err := unix.Poll(polled, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
		return guest{fd: -1}, err
	}
	for i := len(r.guests) - 1; i >= 0; i-- {
		g := &r.guests[i]
		pleased, here := time.Since(g.answered) > wire.Satisfied, true
		if polled[i+1].Revents != 0 {
			pleased, here = r.talk(g)
		}
		if !pleased && here {
			continue
		}
		leaves := *g
		r.guests = append(r.guests[:i], r.guests[i+1:]...)
		if here {
			return leaves, nil
		}
		unix.Close(leaves.fd)
		delete(r.taken, leaves.id)
	}
	if polled[0].Revents != 0 {
		return guest{fd: -1}, r.greet()
	}
	return guest{fd: -1}, nil
}

// talk reads what a guest says; it may not be there any more.
func (r *rendezvous) talk(g *guest) (pleased, here bool) {
	b := make([]byte, wire.CallBytes+1)
	n, _, err := unix.Recvfrom(g.fd, b, unix.MSG_DONTWAIT)
	if err != nil {
		return false, err == unix.EAGAIN || err == unix.EINTR
	}
	switch id, kind, ok := wire.Called(r.flow, b[:n]); {
	case !ok || id != g.id:
	case kind == wire.Thanks:
		return true, true
	case kind == wire.Hello:
		r.answer(g)
	}
	return false, true
}

// answer tells a client that its flow has a socket. What comes of it is seen by what the client
// says next.
func (r *rendezvous) answer(g *guest) {
	_, _ = unix.Write(g.fd, wire.Welcome.Bytes(r.flow, g.id))
	g.answered = time.Now()
}

// greet reads hellos and makes sockets for the flows. Whoever has no token is not
// answered.
func (r *rendezvous) greet() error {
	b := make([]byte, wire.CallBytes+1)
	for range 64 {
		n, from, err := unix.Recvfrom(r.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			return nil // nothing there, or an error of an earlier answer
		}
		id, kind, ok := wire.Called(r.flow, b[:n])
		if !ok || kind != wire.Hello || r.taken[id] {
			continue
		}
		fd, err := r.connected(from)
		if err != nil {
			return err
		}
		g := guest{fd: fd, id: id}
		r.answer(&g)
		r.guests = append(r.guests, g)
		r.taken[id] = true
	}
	return nil
}

// dialUDP says hello until the server answers from the flow's socket.
func dialUDP(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	remote, err := parseAddress(f, to)
	if err != nil {
		return nil, err
	}
	fd, err := datagramSocket(f, family(f, remote.sa))
	if err != nil {
		return nil, err
	}
	err = bindClient(fd, f)
	if err == nil {
		err = unix.Connect(fd, remote.sa)
	}
	if err == nil {
		err = introduce(fd, f, id, o.Timeout)
	}
	var d *datagrams
	if err == nil {
		d, err = newDatagrams(fd, f, o)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	return d, nil
}

func introduce(fd int, f *load.FlowSpec, id int, timeout time.Duration) error {
	var last error
	b := make([]byte, wire.CallBytes+1)
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if _, err := unix.Write(fd, wire.Hello.Bytes(f, id)); err != nil {
			last = err // of an earlier hello, too
		}
		for until := time.Now().Add(wire.HelloEvery); ; {
			left := time.Until(until)
			if left <= 0 {
				break
			}
			polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(polled, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
				return err
			}
			n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			if err != nil {
				if err != unix.EAGAIN {
					last = err
					time.Sleep(time.Until(until))
				}
				continue
			}
			if got, kind, ok := wire.Called(f, b[:n]); ok && got == id && kind == wire.Welcome {
				_, err := unix.Write(fd, wire.Thanks.Bytes(f, id))
				return err
			}
		}
	}
	if last != nil {
		return fmt.Errorf("no answer within %v: %w", timeout, last)
	}
	return fmt.Errorf("no answer within %v", timeout)
}
