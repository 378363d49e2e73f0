package load

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Engine makes the data connections of flows.
type Engine interface {
	// Listen prepares the server's end of the flows of a spec.
	Listen(f *FlowSpec) (Listener, error)
	// Dial makes the client's end of flow id to the address that the server's Listener
	// gave, settings applied and read back, its data connection opened with the token.
	Dial(f *FlowSpec, id int, to string, o DialOptions) (Transport, error)
	// Poller waits for many transports of this engine at once.
	Poller() (Poller, error)
}

// Resident is an engine that does the stack's work in the worker process itself, beside the
// flows. Its flows run on goroutines that wait in Go's scheduler, as in a program that uses
// such a stack, and not each on a thread of its own: CPUs are asked of the process, not of a
// thread, and the collector runs.
type Resident interface {
	Engine
	// Begin makes what the flows of a spec need, in the network namespace of the process, and
	// returns the engine that has it.
	Begin(s *Spec) (Stacked, error)
}

// Stacked is a resident engine with its stacks.
type Stacked interface {
	Engine
	// Stacks tells what is in force, and what was counted until now.
	Stacks() []StackInfo
}

// DialOptions are what a driver wants of a transport.
type DialOptions struct {
	// Polled transports never block: Send and Recv return EAGAIN.
	Polled  bool
	Timeout time.Duration // to connect
	// Numbered: the datagrams of udp begin with a [DatagramHeader], which the
	// transport writes and reads.
	Numbered bool
	// Reopens: the workload makes a connection a transaction (see [Reopener]), so
	// none is made before it does.
	Reopens bool
}

// Listener is the server's end of the flows of a spec, waiting for its clients.
type Listener interface {
	// Address is what the clients must be given.
	Address() string
	// Accept returns the next transport that opens with the token, and its flow.
	Accept(o DialOptions) (id int, t Transport, err error)
	Close()
}

// Adopter is a listener whose clients come to somebody else's port ([FlowSpec.SinglePort]).
type Adopter interface {
	// Adopt takes a connection over whose opening was read; where it fails, the caller
	// still has it.
	Adopt(fd int, opening []byte) error
}

// Transport is an open data connection.
type Transport interface {
	Conn
	Info() SocketInfo
	// Abort makes blocked calls in other threads return.
	Abort()
	Close()
}

// Conn is a data connection as a workload sees it. A call with no error moves
// at least one byte; Recv returns 0 and no error at the end of the stream. EAGAIN: nothing
// could be moved for now (a polled transport), or for some time (any other).
type Conn interface {
	Send(b []byte) (int, unix.Errno)
	Recv(b []byte) (int, unix.Errno)
}

// Reopener is a transport that makes a new connection for each transaction.
type Reopener interface {
	// Reopen ends the connection, if there is one, and makes the next: connects (client) or accepts
	// (server). EAGAIN: a polled transport waits for it.
	Reopen() unix.Errno
	// Hangup ends the connection and leaves the transport without one.
	Hangup()
}

// DatagramHeader is what each datagram of a udp stream begins with, big-endian: its
// number (8 bytes, from 0, counted per flow) and when it was sent (8 bytes, the sender's
// CLOCK_MONOTONIC in nanoseconds).
const DatagramHeader = 16

// Counted is a transport that knows more of what it carried than the workload does:
// datagrams, and which of them were lost.
type Counted interface {
	// Count makes the transport count into t from now on.
	Count(t *Tally)
}

// Poller waits for transports.
type Poller interface {
	// Watch makes Wait report flow i when its transport is ready for any of want; it
	// replaces what was watched for it. Want 0 ends it.
	Watch(i int, t Transport, want Wait) error
	// Wait fills ready with flows that are ready and returns how many; it returns 0 after
	// the timeout (nanoseconds; below 0: none).
	Wait(ready []int32, timeout int64) (int, unix.Errno)
	Close()
}

// SocketInfo is what the transport says of itself, read back from the kernel.
type SocketInfo struct {
	Congestion         string `json:"congestion,omitempty"`
	SendBufferBytes    int    `json:"send_buffer_bytes"`
	ReceiveBufferBytes int    `json:"receive_buffer_bytes"`
	NoDelay            bool   `json:"nodelay"`
	Retransmits        uint64 `json:"retransmits"` // segments
	// The rest is TCP_INFO at the end of the flow.
	CongestionWindow   uint32 `json:"congestion_window_segments,omitempty"`
	RTTMicroseconds    uint32 `json:"rtt_microseconds,omitempty"` // smoothed
	RTTVarMicroseconds uint32 `json:"rtt_variance_microseconds,omitempty"`
	MinRTTMicroseconds uint32 `json:"min_rtt_microseconds,omitempty"`
	DeliveryRate       uint64 `json:"delivery_rate_bytes_per_second,omitempty"`
	MaxSegmentBytes    uint32 `json:"max_segment_bytes,omitempty"`
	// Of the time from the flow's begin on, how long it had bytes to send (tcpi_busy_time), and how long of it
	// the receiver's window (tcpi_rwnd_limited) or its own send buffer (tcpi_sndbuf_limited) held it up.
	BusyMicroseconds       uint64 `json:"busy_microseconds,omitempty"`
	WindowMicroseconds     uint64 `json:"receive_window_limited_microseconds,omitempty"`
	SendBufferMicroseconds uint64 `json:"send_buffer_limited_microseconds,omitempty"`
	Drops                  uint64 `json:"drops,omitempty"` // packets, by the socket, its buffer being full; those that UDP_SEGMENT or GRO put together count as one
	// DeferredAccept: the server of crr was not woken before the request had come (TCP_DEFER_ACCEPT).
	DeferredAccept bool `json:"deferred_accept,omitempty"`
	// ZeroCopySends counts sends that asked for zero copy, ZeroCopyCopied those that were
	// copied all the same, as all are on loopback.
	ZeroCopySends  uint64 `json:"zerocopy_sends,omitempty"`
	ZeroCopyCopied uint64 `json:"zerocopy_copied,omitempty"`
	// MappedBytes and CopiedBytes are how a receiver with zero copy got its bytes.
	MappedBytes uint64 `json:"mapped_bytes,omitempty"`
	CopiedBytes uint64 `json:"copied_bytes,omitempty"`
	// Subflows is how many TCP connections an MPTCP connection has at its end; 0 of MPTCP: it
	// fell back to TCP on the way.
	Subflows int `json:"subflows,omitempty"`
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
