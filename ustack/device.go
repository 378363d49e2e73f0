package ustack

import (
	"time"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Link says what the frames of a device begin with.
type Link uint8

// Kinds of link.
const (
	LinkIP       Link = iota // an IPv4 or IPv6 header: TUN
	LinkEthernet             // an Ethernet header
)

// DeviceInfo describes a device. It must not change while a stack uses the device.
type DeviceInfo struct {
	Name     string  // for people
	Link     Link    // what frames begin with
	HWAddr   [6]byte // own address; valid with LinkEthernet
	MTU      int     // longest IP packet in bytes that crosses the link
	Queues   int     // at least 1; each gets a shard of its own
	Headroom int     // bytes that Send wants free before the packet

	// ReceiveSize is the longest packet that Receive may return, in bytes with its
	// link header; frames of the queue's pool hold as much behind their headroom.
	ReceiveSize int

	// SendChecksum: Send completes partial checksums.
	SendChecksum bool
	// SegmentSize is the longest TCP payload that Send cuts to segments, in bytes;
	// 0 if it does not. Needs SendChecksum.
	SegmentSize int
}

// Device carries frames to and from a network. A stack opens each of its queues once
// and closes the device when the stack is closed.
type Device interface {
	Info() DeviceInfo
	// Open makes queue i ready, which takes the frames that it needs from pool. All
	// use of the pool must happen within calls of Receive, Send and Close.
	Open(i int, pool *frame.Pool) (Queue, error)
	// Close ends the device after its queues were closed.
	Close() error
}

// Queue is one pair of receive and send queue of a device. Calls of Receive, Send and
// Close come one at a time, though from several goroutines; Wait may run at the same
// time as Send, and Wake at any time.
type Queue interface {
	// Receive puts the frames that have arrived into the slice, at most as many as
	// fit, and returns their number. It does not wait. The caller then holds the
	// frames. An error means that the queue is of no use any more.
	Receive(into []*frame.Frame) (int, error)

	// Send takes all frames over, in their order, and sends them or drops what the
	// device has no room for. It does not wait. It returns how many were sent.
	Send(frames []*frame.Frame) (int, error)

	// Wait returns when frames have arrived, Wake was called since the last Wait
	// returned, or timeout has passed (never, if negative). It may also return for
	// no reason.
	Wait(timeout time.Duration) error

	// Wake makes Wait return.
	Wake()

	// Close frees the queue and gives its frames back to the pool.
	Close() error
}
