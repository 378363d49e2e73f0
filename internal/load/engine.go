package load

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Engine makes the data connections of flows.
type Engine interface {
	// Listen prepares the receiving end and returns the address that the sender
	// must be given.
	Listen(f *FlowSpec) (Listener, error)
	// Dial makes the sending end, settings applied and read back.
	Dial(f *FlowSpec, timeout time.Duration) (Transport, error)
}

// Listener is a receiving end that waits for its sender.
type Listener interface {
	Port() uint16
	// Accept returns the connection that opens with the flow's token.
	Accept(f *FlowSpec, timeout time.Duration) (Transport, error)
	Close()
}

// Transport is an open data connection.
type Transport interface {
	Conn
	Info() SocketInfo
	// Abort makes blocked calls in other threads return.
	Abort()
	Close()
}

// SocketInfo is what the transport says of itself, read back from the kernel.
type SocketInfo struct {
	Congestion         string `json:"congestion,omitempty"`
	SendBufferBytes    int    `json:"send_buffer_bytes"`
	ReceiveBufferBytes int    `json:"receive_buffer_bytes"`
	NoDelay            bool   `json:"nodelay"`
	Retransmits        uint64 `json:"retransmits"`
}

// Engines by name.
var Engines = map[string]Engine{"kernel": kernel{}, "null": null{}}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// null carries nothing: both ends return at once. It measures the tool itself.
type null struct{}

// nullEnd is one end; the two know nothing of each other.
type nullEnd struct{ ended atomic.Bool }

func (null) Listen(*FlowSpec) (Listener, error)               { return &nullEnd{}, nil }
func (null) Dial(*FlowSpec, time.Duration) (Transport, error) { return &nullEnd{}, nil }

func (e *nullEnd) Port() uint16                                       { return 1 }
func (e *nullEnd) Accept(*FlowSpec, time.Duration) (Transport, error) { return e, nil }
func (e *nullEnd) Send(b []byte) (int, unix.Errno)                    { return len(b), 0 }
func (e *nullEnd) Info() SocketInfo                                   { return SocketInfo{} }
func (e *nullEnd) Abort()                                             { e.ended.Store(true) }
func (e *nullEnd) Close()                                             {}

func (e *nullEnd) Recv(b []byte) (int, unix.Errno) {
	if e.ended.Load() {
		return 0, 0
	}
	return len(b), 0
}
