package userstack

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
	"github.com/stackmeter/stackmeter/ustack"
)

// datagrams is a connected UDP socket of a flow.
type datagrams struct {
	watching
	wire.Arrivals
	c       ustack.UDPConn
	st      *stack
	polled  bool
	number  uint64
	message int
	ended   atomic.Bool
	drops   uint64 // before the flow began
	bell    chan struct{}
	timer   *time.Timer
}

func newDatagrams(st *stack, c ustack.UDPConn, f *load.FlowSpec, o load.DialOptions) *datagrams {
	t := time.NewTimer(time.Hour)
	t.Stop()
	d := &datagrams{
		Arrivals: wire.Arrivals{Tally: &load.Tally{}, Numbered: o.Numbered},
		c:        c, st: st, polled: o.Polled, message: f.MessageBytes, bell: make(chan struct{}, 1), timer: t,
	}
	c.Notify(d.ring)
	return d
}

func (d *datagrams) ring() {
	d.notify()
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

// Count makes the flow count into t, from a socket that is empty: answers to calls that were
// sent twice are no payload.
func (d *datagrams) Count(t *load.Tally) {
	d.Tally = t
	var b [1]byte
	for range 1024 {
		if _, _, err := d.c.TryRead(b[:]); err != nil {
			break
		}
	}
	d.drops = d.c.Drops()
}

// Send sends one message of b.
func (d *datagrams) Send(b []byte) (int, unix.Errno) {
	if d.ended.Load() {
		return 0, unix.ECANCELED
	}
	if d.Numbered {
		b = b[:min(len(b), d.message)]
		d.number = wire.Stamp(b, len(b), len(b), d.number, clock.Now())
	}
	n, err := d.c.Write(b)
	return n, errno(err)
}

func (d *datagrams) Recv(b []byte) (int, unix.Errno) {
	for {
		n, _, err := d.c.TryRead(b)
		switch {
		case err == nil && n > 0:
			var now int64
			if d.Numbered {
				now = clock.Now()
			}
			d.Take(b[:n], 0, now)
			return n, 0
		case d.ended.Load():
			return 0, 0
		case err == nil: // an empty datagram
			return 0, unix.EAGAIN
		case err != ustack.ErrWouldBlock || d.polled:
			return 0, errno(err)
		}
		d.timer.Reset(patience)
		select {
		case <-d.bell:
		case <-d.timer.C:
			return 0, unix.EAGAIN
		}
	}
}

func (d *datagrams) ready(want load.Wait) bool {
	return want&load.Writable != 0 || d.ended.Load() || want&load.Readable != 0 && d.c.Ready()
}

func (d *datagrams) Info() load.SocketInfo {
	return load.SocketInfo{Drops: d.c.Drops() - d.drops}
}

func (d *datagrams) Abort() {
	d.ended.Store(true)
	d.ring()
}

func (d *datagrams) Close() { _ = d.c.Close() }

// rendezvous is where the clients of some flows say hello. Each flow gets a socket of its own,
// bound to the same address and connected to its client.
type rendezvous struct {
	st     *stack
	flow   *load.FlowSpec
	p      *ustack.PacketConn
	guests map[netip.AddrPort]*guest
	taken  map[int]bool
	bell   chan struct{}
}

// guest is a client that has been answered and has not said thanks.
type guest struct {
	c        ustack.UDPConn
	id       int
	answered time.Time
}

func (st *stack) listenUDP(f *load.FlowSpec) (load.Listener, error) {
	at, err := st.own(f)
	if err != nil {
		return nil, err
	}
	p, err := st.ListenPacket("udp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %v over the user-space stack: %w", at, err)
	}
	r := &rendezvous{
		st: st, flow: f, p: p.(*ustack.PacketConn), guests: map[netip.AddrPort]*guest{}, taken: map[int]bool{}, bell: make(chan struct{}, 1),
	}
	r.p.Notify(r.ring)
	return r, nil
}

func (r *rendezvous) ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

func (r *rendezvous) Address() string { return r.p.LocalAddr().String() }

func (r *rendezvous) Accept(o load.DialOptions) (int, load.Transport, error) {
	for deadline := time.Now().Add(o.Timeout); time.Now().Before(deadline); {
		if err := r.greet(); err != nil {
			return 0, nil, err
		}
		for from, g := range r.guests {
			if !r.pleased(g) {
				continue
			}
			delete(r.guests, from)
			return g.id, newDatagrams(r.st, g.c, r.flow, o), nil
		}
		select {
		case <-r.bell:
		case <-time.After(wire.HelloEvery):
		}
	}
	return 0, nil, fmt.Errorf("no client came to %s within %v", r.Address(), o.Timeout)
}

// greet reads hellos and makes sockets for the flows. Whoever has no token is not answered.
func (r *rendezvous) greet() error {
	b := make([]byte, wire.CallBytes+1)
	for {
		n, from, err := r.p.TryRead(b)
		if err != nil {
			return nil
		}
		id, call, ok := wire.Called(r.flow, b[:n])
		if !ok || call != wire.Hello || r.taken[id] {
			continue
		}
		local, _ := netip.ParseAddrPort(r.Address())
		c, err := r.st.DialUDP(local, from)
		if err != nil {
			return fmt.Errorf("connect a flow's socket to its client: %w", err)
		}
		c.Notify(r.ring)
		g := &guest{c: c, id: id}
		r.answer(g)
		r.guests[from], r.taken[id] = g, true
	}
}

// answer tells a client that its flow has a socket. What comes of it is seen by what the client
// says next.
func (r *rendezvous) answer(g *guest) {
	_, _ = g.c.Write(wire.Welcome.Bytes(r.flow, g.id))
	g.answered = time.Now()
}

// pleased reports whether a guest needs no answer any more.
func (r *rendezvous) pleased(g *guest) bool {
	b := make([]byte, wire.CallBytes+1)
	for {
		n, _, err := g.c.TryRead(b)
		if err != nil {
			return time.Since(g.answered) > wire.Satisfied
		}
		switch id, call, ok := wire.Called(r.flow, b[:n]); {
		case !ok || id != g.id:
		case call == wire.Thanks:
			return true
		case call == wire.Hello:
			r.answer(g)
		}
	}
}

func (r *rendezvous) Close() {
	for _, g := range r.guests {
		_ = g.c.Close()
	}
	_ = r.p.Close()
}

// dialUDP says hello until the server answers from the flow's socket.
func (st *stack) dialUDP(f *load.FlowSpec, id int, to netip.AddrPort, o load.DialOptions) (load.Transport, error) {
	c, err := st.DialUDP(f.Local, to)
	if err == nil {
		if err = introduce(c, f, id, o.Timeout); err != nil {
			_ = c.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %v over the user-space stack: %w", to, err)
	}
	return newDatagrams(st, c, f, o), nil
}

func introduce(c net.Conn, f *load.FlowSpec, id int, timeout time.Duration) error {
	b := make([]byte, wire.CallBytes+1)
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if _, err := c.Write(wire.Hello.Bytes(f, id)); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(wire.HelloEvery))
		for {
			n, err := c.Read(b)
			if err != nil {
				break
			}
			if got, call, ok := wire.Called(f, b[:n]); ok && got == id && call == wire.Welcome {
				_, err := c.Write(wire.Thanks.Bytes(f, id))
				return err
			}
		}
	}
	return fmt.Errorf("no answer within %v", timeout)
}
