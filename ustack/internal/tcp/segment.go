package tcp

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Segment is a segment that arrived, or several that follow each other with the same
// acknowledgement, window and timestamps. Its checksum was verified.
type Segment struct {
	Seq, Ack uint32
	Flags    uint8
	CE       bool   // congestion experienced, from the IP header
	Window   uint16 // as in the header, not scaled
	Len      int    // bytes of payload
	Count    int    // segments merged to this one
	Options  *wire.TCPOptions
	Data     frame.List // the payload; each frame's Seq is set. Arrive takes it over
}

// end is the sequence number behind the segment, SYN and FIN included.
func (s *Segment) end() uint32 {
	e := s.Seq + uint32(s.Len)
	if s.Flags&wire.SYN != 0 {
		e++
	}
	if s.Flags&wire.FIN != 0 {
		e++
	}
	return e
}

// Send is a segment to be sent. With Len above MSS it is a run of segments to be cut,
// each of MSS bytes but the last; FIN and PSH belong to the last, CWR to the first.
type Send struct {
	Seq, Ack uint32
	Flags    uint8
	ECT      bool // mark as ECN-capable in the IP header
	Window   uint16
	Len      int // bytes of payload, from Seq on
	MSS      int
	Options  wire.TCPOptions
}

// Event is a set of what the application should be told.
type Event uint8

// Events.
const (
	Connected   Event = 1 << iota // the handshake is complete
	Readable                      // Received is not empty, or the peer's FIN has come
	Writable                      // bytes were acknowledged
	Ended                         // the connection is gone: see Conn.Err
	Reuse                         // in TIME-WAIT, the segment opens a new connection
	ResetSender                   // answer the segment with RST: it belongs to nothing
	AckWaits                      // an acknowledgement was held back: see Out.MayWait
)

// Out is what calls of a Conn bring about. The caller empties it.
type Out struct {
	Sends    []Send
	Received frame.List // payload in order
	Dropped  frame.List // frames to free
	Events   Event

	// MayWait lets Output hold back an acknowledgement that something to say may follow at
	// once: it raises AckWaits, and the caller calls Output again soon. Reset clears it.
	MayWait bool
}

// Reset empties o, whose frames the caller has taken.
func (o *Out) Reset() {
	o.Sends = o.Sends[:0]
	o.Received, o.Dropped = frame.List{}, frame.List{}
	o.Events, o.MayWait = 0, false
}
