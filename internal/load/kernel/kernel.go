// Package kernel carries flows over the kernel's sockets. Send and Recv are raw
// system calls: the scheduler of Go is not told, which saves its bookkeeping at each end of
// the call and is right for threads that do nothing else.
//
// What a reader of figures must know of how connections are treated:
//   - crr: the server closes first. Its answer leaves with the end of the stream in one
//     segment (MSG_MORE, then close). A polled server's listening socket wakes it when the request
//     has come, not when the handshake is over (TCP_DEFER_ACCEPT; load.SocketInfo.DeferredAccept): the
//     packets are the same, it is woken once less. One that blocks is woken early, so that it is
//     awake when the request comes. The handshake's last ACK stays a packet of its own. netperf and
//     neper do neither.
//   - Options are read back once a flow; each connection of crr has them set without that.
//   - udp: the two ends of a flow are connected sockets, so the kernel looks for no route a
//     datagram. The server's share the port (SO_REUSEPORT).
//   - receive_method "truncate" and pages that are mapped are never looked at; what is
//     received by copy is not looked at either, but is in the CPU's caches.
//   - single_port: a connection is accepted by the agent's runtime, so the size of its
//     receive buffer is set after the handshake and may not widen the window (tcp(7)).
package kernel

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/load"
)

// Engine is the engine "kernel".
type Engine struct{}

// Listen prepares the server's end.
func (Engine) Listen(f *load.FlowSpec) (load.Listener, error) {
	if f.SinglePort {
		return adopt(f)
	}
	switch f.Transport {
	case "", load.TCP, load.MPTCP, load.Unix, load.VSock:
		return listen(f)
	case load.UDP:
		return listenUDP(f)
	}
	return nil, unknown(f)
}

// Dial makes the client's end.
func (Engine) Dial(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	switch f.Transport {
	case "", load.TCP, load.MPTCP, load.Unix, load.VSock:
		return dialStream(f, id, to, o)
	case load.UDP:
		return dialUDP(f, id, to, o)
	}
	return nil, unknown(f)
}

func unknown(f *load.FlowSpec) error {
	return fmt.Errorf("transport %q: the engine \"kernel\" has none of this name", f.Transport)
}

// Poller is epoll.
func (Engine) Poller() (load.Poller, error) { return newPoller() }
