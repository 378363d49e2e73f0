// Package wire is what engines put on the wire beside payload, alike, so that the two ends
// of a flow may run on different ones: how data connections open, and what the datagrams
// of a stream begin with.
package wire

import (
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// OpeningBytes is how long the opening of a data connection is: the run's token and the
// number of the flow.
const OpeningBytes = len(load.Token{}) + 4

// Opening is what the client of a flow sends first; before it goes load.DataMagic where the
// connection comes to an agent's port.
func Opening(f *load.FlowSpec, id int) []byte {
	var b []byte
	if f.SinglePort {
		b = append(b, load.DataMagic...)
	}
	return binary.BigEndian.AppendUint32(append(b, f.Token[:]...), uint32(id))
}

// Opens reports whether b, without magic, is the opening of one of the flows of f, and of which.
func Opens(f *load.FlowSpec, b []byte) (id int, ok bool) {
	if len(b) != OpeningBytes || subtle.ConstantTimeCompare(b[:len(f.Token)], f.Token[:]) != 1 {
		return 0, false
	}
	id = int(binary.BigEndian.Uint32(b[len(f.Token):]))
	return id, id >= f.ID && id < f.ID+f.Flows()
}

// Call is what the ends of a flow of datagrams say to each other first: three datagrams, each as long
// as the others, so that nobody can make a server send more than it was sent.
type Call byte

// Calls, in their order.
const (
	Hello   Call = 1 // client: again until it is answered
	Welcome Call = 2 // server, from the flow's own socket
	Thanks  Call = 3 // client: it will not ask again
)

// CallBytes is how long a call is: an opening, and which call it is.
const CallBytes = OpeningBytes + 1

// When to call.
const (
	HelloEvery = 50 * time.Millisecond
	// Satisfied is how long after its answer a client that says no more is taken for satisfied:
	// its thanks are lost.
	Satisfied = 6 * HelloEvery
)

// Bytes is the call as a datagram.
func (c Call) Bytes(f *load.FlowSpec, id int) []byte { return append(Opening(f, id), byte(c)) }

// Called reads a call for one of the flows of f.
func Called(f *load.FlowSpec, b []byte) (id int, call Call, ok bool) {
	if len(b) != CallBytes {
		return 0, 0, false
	}
	id, ok = Opens(f, b[:OpeningBytes])
	return id, Call(b[OpeningBytes]), ok
}
