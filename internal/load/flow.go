package load

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/hist"
)

// Wait is what a flow waits for before its workload can go on.
type Wait uint8

// What there is to wait for. No bit at all: the flow has ended.
const (
	Readable   Wait = 1 << iota
	Writable        // or connected
	Acceptable      // a client, of any flow of the listener
	Due             // the time Flow.due
	// Drained goes with Readable: what was there has been read, only what comes later counts.
	// It spares the poller a second look at each flow that it has reported.
	Drained
	// Again goes with Readable or Writable: the turn is over, and there may be more to do at once.
	Again
)

// Flow is one end of one flow as its workload sees it. It belongs to one thread.
type Flow struct {
	Transport
	*Slot
	// Latency takes the time of each transaction, or of each paced message; it is shared
	// by the flows of a thread.
	Latency *hist.Hist

	spec    *FlowSpec
	id      int
	polled  bool
	answers bool   // the workload is one of requests and responses
	out     []byte // what is sent, never changed but for the datagrams' headers
	in      []byte // where bytes are received to

	// burst, request and response are of the spec, here for the loops.
	burst, request, response int

	sent   int     // bytes of the message in hand that are sent
	got    int     // bytes received that no transaction has used
	flying int     // transactions begun and not ended
	begun  []int64 // when each began or should have: a ring of burst entries
	first  int     // the oldest in begun
	due    int64   // when the next may begin, CLOCK_MONOTONIC nanoseconds
	period int64   // between two, 0: as fast as they go
	open   bool    // rr: a request is begun and not sent; crr: there is a connection
	filled bool    // rr: the last receive call may have left something
	lossy  bool    // what is not answered in time is given up
	asked  asked   // rr over datagrams: the requests under way
	watch  Wait    // what the poller was told
	queued bool    // in the loop's heap of due times
	fresh  bool    // the transport has a descriptor that the poller has not seen
}

// budget is how many messages a flow may move in one turn: where there are others on its thread,
// they go in turns, so that each has something under way.
func (f *Flow) budget() int {
	if f.polled {
		return 1
	}
	return 1 << 62
}

// paced reports whether the flow must wait before it begins something, by its
// rate; it wants to begin at f.due.
func (f *Flow) paced() bool {
	return f.period != 0 && clock.Now() < f.due
}

// patience is how long a flow that loses datagrams, or has a stranger at its other end,
// waits for what it was promised.
const patience = 200 * time.Millisecond

// late reports whether what the flow waits for should be given up.
func (f *Flow) late() bool {
	return f.lossy && clock.Now()-f.asked.oldest > patience.Nanoseconds()
}

// begin is the time from which the latency of what begins now counts: the intended
// time where there is a rate, so that a stall shows in everything that it delays
// (the 'coordinated omission' of closed loops), otherwise now.
func (f *Flow) begin(now int64) int64 {
	if f.period == 0 {
		return now
	}
	t := f.due
	f.due += f.period
	return t
}

// send sends messages until the turn is over.
func (f *Flow) send() (Wait, unix.Errno) {
	for n := f.budget(); n > 0; n-- {
		if f.Stopped() {
			return 0, 0
		}
		if f.paced() {
			return Due, 0
		}
		sent, errno := f.Send(f.out[f.sent:f.request])
		if errno != 0 {
			return Writable, errno
		}
		f.Sent += uint64(sent)
		f.SentMessages++
		// What a socket did not take of a message goes first in the next call.
		if f.sent += sent; f.sent < f.request {
			continue
		}
		f.sent = 0
		if f.period != 0 {
			f.Latency.Record(clock.Now() - f.begin(0))
		}
	}
	return Writable | Again, 0
}

// receive receives until the turn is over.
func (f *Flow) receive() (Wait, unix.Errno) {
	for n := f.budget(); n > 0; n-- {
		got, errno := f.Recv(f.in)
		if got <= 0 {
			if errno == unix.EAGAIN && f.lossy && f.Stopped() {
				return 0, 0 // datagrams have no end of the stream
			}
			return waitOrEnd(Readable, errno)
		}
		f.Received += uint64(got)
		f.ReceivedMessages++
	}
	return Readable | Again, 0
}

// waitOrEnd is what to return where a receive call got no byte: the end of the stream
// ends the flow.
func waitOrEnd(w Wait, errno unix.Errno) (Wait, unix.Errno) {
	if errno == 0 {
		return 0, 0
	}
	return w, errno
}
