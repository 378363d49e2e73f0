package userstack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
	"github.com/stackmeter/stackmeter/ustack"
)

// listener accepts the data connections of some flows. Strangers, who do not open with the
// token, are hung up on and never hold up the others.
type listener struct {
	st   *stack
	flow *load.FlowSpec
	l    *ustack.Listener
	next int // crr: the flow that is given out next

	receive sync.Once    // those who come
	arrived chan visitor // that have opened with the token
	done    chan struct{}
	rooms   chan struct{} // one for each that has not said yet whose it is

	mu      sync.Mutex
	members map[*member]bool // crr: pollers that wait for clients
}

// visitor is a connection that said whose it is.
type visitor struct {
	c  *ustack.TCPConn
	id int
}

// Bounds of what strangers can hold.
const (
	maxVisitors     = 64
	visitorPatience = time.Second
)

// listen listens at the flow's local address, which is the stack's.
func (st *stack) listen(f *load.FlowSpec) (*listener, error) {
	at, err := st.own(f)
	if err != nil {
		return nil, err
	}
	nl, err := st.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %v over the user-space stack: %w", at, err)
	}
	return &listener{
		st: st, flow: f, l: nl.(*ustack.Listener), next: f.ID, arrived: make(chan visitor), done: make(chan struct{}),
		rooms: make(chan struct{}, maxVisitors), members: map[*member]bool{},
	}, nil
}

// own is the flow's local address; without one the stack's, any port.
func (st *stack) own(f *load.FlowSpec) (netip.AddrPort, error) {
	switch a := f.Local.Addr(); {
	case !a.IsValid():
		return netip.AddrPortFrom(st.address.Addr(), 0), nil
	case a != st.address.Addr():
		return netip.AddrPort{}, fmt.Errorf("local: %v is not the stack's address %v", a, st.address.Addr())
	}
	return f.Local, nil
}

func (l *listener) Address() string { return l.l.Addr().String() }

func (l *listener) Accept(o load.DialOptions) (int, load.Transport, error) {
	if o.Reopens {
		id := l.next
		l.next++
		_ = l.l.SetDeadline(time.Now().Add(patience))
		return id, newAcceptor(l, o), nil
	}
	l.receive.Do(func() { go l.meet() })
	timeout := time.NewTimer(o.Timeout)
	defer timeout.Stop()
	select {
	case v := <-l.arrived:
		t, err := newConn(l.st, v.c, l.flow, o)
		return v.id, t, err
	case <-timeout.C:
		return 0, nil, fmt.Errorf("no client came to %s within %v", l.Address(), o.Timeout)
	}
}

// meet accepts connections until the listener is closed.
func (l *listener) meet() {
	for {
		c, err := l.l.AcceptTCP()
		if err != nil {
			return
		}
		l.rooms <- struct{}{}
		go l.hear(c)
	}
}

// hear lets a connection in that opens with the token.
func (l *listener) hear(c *ustack.TCPConn) {
	b := make([]byte, wire.OpeningBytes)
	_ = c.SetReadDeadline(time.Now().Add(visitorPatience))
	_, err := io.ReadFull(c, b)
	<-l.rooms
	id, ok := wire.Opens(l.flow, b)
	if err != nil || !ok {
		_ = c.Abort()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	select {
	case l.arrived <- visitor{c, id}:
	case <-l.done: // one that nobody awaits
		_ = c.Abort()
	}
}

// accept returns the next client of crr, or EAGAIN: at once, or after some time. The deadline is
// of all that wait.
func (l *listener) accept(polled bool) (*ustack.TCPConn, error) {
	if polled {
		return l.l.TryAccept()
	}
	c, err := l.l.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = l.l.SetDeadline(time.Now().Add(patience))
		return nil, ustack.ErrWouldBlock
	}
	return c, err
}

func (l *listener) Close() {
	if l.l.Close() == nil {
		close(l.done)
	}
}

// A listener of crr is watched by the pollers of several threads.

func (l *listener) enlist(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[m] = true
	l.l.Notify(l.came)
}

// came rings for a client with all pollers: whoever is first has it.
func (l *listener) came() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range l.members {
		m.ring()
	}
}

func (l *listener) ready(load.Wait) bool { return l.l.Ready() }
