// Package kernel carries flows over the kernel's sockets. Send and Recv are raw
// system calls: the scheduler of Go is not told, which saves its bookkeeping at each end of
// the call and is right for threads that do nothing else.
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
