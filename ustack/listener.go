package ustack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Listener accepts TCP connections. It is a net.Listener.
type Listener struct {
	st       *Stack
	at       endpoint
	addr     *net.TCPAddr
	backlog  int64
	places   atomic.Int64 // connections being opened or in queue
	mu       sync.Mutex
	queue    []*TCPConn // handshake done, not accepted
	closed   bool
	ready    chan struct{}
	ring     atomic.Pointer[func()]
	deadline deadline
}

var _ net.Listener = (*Listener)(nil)

// Listen listens on a TCP address, such as ":80" or "192.0.2.1:80", which means all of
// the stack's addresses or one; port 0 picks a free one. The network is tcp, tcp4 or
// tcp6; host names are not looked up.
func (st *Stack) Listen(network, address string) (net.Listener, error) {
	at, err := st.parseLocal("tcp", network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, &net.OpError{Op: "listen", Net: network, Err: errClosedStack}
	}
	if at.port == 0 {
		for p := portFirst; p <= portLast && at.port == 0; p++ {
			if st.listeners[endpoint{at.addr, uint16(p)}] == nil {
				at.port = uint16(p)
			}
		}
	}
	if at.port == 0 || st.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: tcpAddr(at.addr, at.port), Err: os.NewSyscallError("bind", errInUse)}
	}
	l := &Listener{
		st: st, at: at, addr: tcpAddr(at.addr, at.port),
		backlog: int64(st.cfg.TCP.Backlog), ready: make(chan struct{}, 1),
	}
	st.listeners[at] = l
	return l, nil
}

// parseLocal reads an address of this stack; no host stands for all.
func (st *Stack) parseLocal(proto, network, address string) (endpoint, error) {
	var e endpoint
	host, port, err := splitAddress(proto, network, address)
	if e.port = port; err != nil || host == "" {
		return e, err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return e, fmt.Errorf("%w: the stack takes addresses, not names", err)
	}
	if a.IsUnspecified() {
		return e, nil
	}
	if e.addr = wire.AddrOf(a); !st.own[e.addr] {
		return e, fmt.Errorf("%v is no address of this stack: %w", a, errNoPort)
	}
	return e, nil
}

// splitAddress reads "host:port", where the port may be the name of a service.
func splitAddress(proto, network, address string) (host string, port uint16, err error) {
	if network != proto && network != proto+"4" && network != proto+"6" {
		return "", 0, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := net.DefaultResolver.LookupPort(context.Background(), proto, service)
	return host, uint16(n), err
}

// listener returns who listens on an address and port, or nil.
func (st *Stack) listener(a wire.Addr, port uint16) *Listener {
	st.mu.Lock()
	defer st.mu.Unlock()
	if l := st.listeners[endpoint{a, port}]; l != nil {
		return l
	}
	if l := st.listeners[endpoint{port: port}]; l != nil && st.own[a] {
		return l
	}
	return st.listeners[endpoint{}]
}

// reserve takes a place for a new connection, if there is one.
func (l *Listener) reserve() bool {
	if l.places.Add(1) > l.backlog {
		l.places.Add(-1)
		return false
	}
	return true
}

// full reports whether the queue is: whoever comes now would not be accepted.
func (l *Listener) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.queue)) >= l.backlog
}

// offer queues a connection whose handshake is done. It returns false if the listener
// is closed.
func (l *Listener) offer(c *TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, c)
	signal(l.ready)
	if f := l.ring.Load(); f != nil {
		(*f)()
	}
	return true
}

// forget frees the place of a connection that is gone before it was accepted, and
// reports whether it was not even open. The shard is in hand.
func (l *Listener) forget(c *TCPConn) bool {
	c.listener = nil
	if c.opened {
		return false // it is in the queue, and keeps its place until it is accepted
	}
	l.places.Add(-1)
	return true
}

// Accept returns the next connection, a *TCPConn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the type that it returns.
func (l *Listener) AcceptTCP() (*TCPConn, error) {
	for {
		if l.deadline.passed.Load() {
			return nil, l.fail(os.ErrDeadlineExceeded)
		}
		c, err := l.pop()
		if err != nil {
			return nil, l.fail(err)
		}
		if c != nil {
			l.places.Add(-1)
			return c, nil
		}
		select {
		case <-l.ready:
		case <-l.deadline.wait():
		}
	}
}

// pop takes the next connection off the queue; nil: there is none.
func (l *Listener) pop() (*TCPConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		signal(l.ready) // for others that wait
		return nil, net.ErrClosed
	}
	if len(l.queue) == 0 {
		return nil, nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) > 0 {
		signal(l.ready)
	}
	return c, nil
}

func (l *Listener) fail(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
}

// Addr returns the address listened on, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

// SetDeadline sets when Accept fails with os.ErrDeadlineExceeded.
func (l *Listener) SetDeadline(t time.Time) error {
	l.deadline.at(t)
	return nil
}

// Close stops listening. Connections that were not accepted are reset.
func (l *Listener) Close() error {
	l.st.mu.Lock()
	if l.st.listeners[l.at] == l {
		delete(l.st.listeners, l.at)
	}
	l.st.mu.Unlock()
	if !l.shut() {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	return nil
}

// shut does what Close does, but for the stack's table.
func (l *Listener) shut() (first bool) {
	l.mu.Lock()
	first, l.closed = !l.closed, true
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	signal(l.ready)
	for _, c := range queue {
		_ = c.Abort()
	}
	return first
}
