package load

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/hist"
)

// turn is a workload's function for one end.
type turn func(f *Flow) (Wait, unix.Errno)

// polls reports whether the flows of a spec are polled.
func polls(s *Spec) bool {
	if s.Model == Epoll || s.Workload == "bidir" {
		return true
	}
	for i := range s.Flows {
		if s.Flows[i].Burst > 1 && s.Flows[i].Rate > 0 { // a request may be due while an answer is awaited
			return true
		}
	}
	return false
}

// answers reports whether the workload is one of requests and responses.
func answers(s *Spec) bool { return s.Workload == "rr" || s.Workload == "crr" }

// newFlow makes the end of flow id of a spec; it has no buffers yet.
func newFlow(spec *FlowSpec, id int, s *Spec, t Transport, slot *Slot) *Flow {
	f := &Flow{
		Transport: t, Slot: slot, spec: spec, id: id, polled: polls(s),
		burst: max(1, spec.Burst), request: spec.MessageBytes, response: spec.Response(),
	}
	f.answers = answers(s)
	f.begun = make([]int64, f.burst)
	f.lossy = spec.Transport == UDP || s.Workload == "crr" && s.Role == Server
	f.filled = f.lossy // a call takes one datagram, others may wait
	if f.answers && spec.Transport == UDP {
		f.asked = newAsked(spec)
	}
	if spec.Rate > 0 {
		f.period = max(1, int64(1e9/spec.Rate))
	}
	if spec.Batch > 1 && !f.answers { // one call sends them all
		f.request *= spec.Batch
		f.period *= int64(spec.Batch)
	}
	if c, ok := t.(Counted); ok {
		c.Count(&slot.Tally)
	}
	return f
}

// buffers are of a thread and serve all its flows, one at a time: what is sent is always
// the same, what is received is not looked at later.
type buffers struct {
	out, in []byte
	latency *hist.Hist
}

// newBuffers makes buffers that are large enough for some flows.
func newBuffers(flows []*Flow, latency *hist.Hist) buffers {
	var out, in int
	for _, flow := range flows {
		f := flow.spec
		token := len(f.Token) + 1 // of crr, and a byte to see more than was asked for
		largest := max(f.MessageBytes, f.Response())
		out = max(out, largest+token, f.Batch*f.MessageBytes)
		in = max(in, largest+token, min(64<<10, f.Burst*largest))
		if f.Transport == UDP {
			in = max(in, 64<<10*max(1, f.Batch)) // whatever the sender's size, GRO included
		}
	}
	b := buffers{out: make([]byte, out), in: make([]byte, in), latency: latency}
	for _, p := range [][]byte{b.out, b.in} {
		for i := range p {
			p[i] = byte(i) // touch every page before the clock runs
		}
	}
	return b
}

// use gives a flow the buffers of its thread. A stream's receive calls ask for a message
// each, whatever the buffer would hold.
func (f *Flow) use(b buffers) {
	f.out, f.in, f.Latency = b.out, b.in, b.latency
	if !f.answers && f.spec.Transport != UDP {
		f.in = b.in[:f.request]
	}
}

// begins readies a flow for its first turn at the common start.
func (f *Flow) begins(now, phase int64) {
	f.due = now + phase
	f.setBegan(now)
	f.setState(Loaded)
}

// block runs one flow on the calling thread until it ends.
func (f *Flow) block(t turn) unix.Errno {
	for {
		switch w, errno := t(f); {
		case errno == unix.EAGAIN: // waited for some time
			if f.Stopped() && f.flying == 0 {
				return 0
			}
		case errno != 0 || w == 0:
			return errno
		case w&Due != 0:
			// A slow rate must not hold up the flow's end.
			for now := clock.Now(); now < f.due && !f.Stopped(); now = clock.Now() {
				clock.SleepUntil(min(f.due, now+maxWait.Nanoseconds()))
			}
		}
	}
}

// maxWait is how long a poller's thread sleeps at most: by then it looks whether it is stopped.
const maxWait = 50 * time.Millisecond

// loop is one thread that runs many flows.
type loop struct {
	turn   turn
	poller Poller
	fault  fault
	flows  []*Flow
	live   int     // flows that have not ended
	due    dueHeap // flows that wait for a time
	idle   []int32 // flows that wait for a client
	rounds int     // of the poller
}

// fault is what is wrong with how a flow ended: nothing, where the end that is stopped
// first has hung up on one that was sending.
type fault func(unix.Errno) unix.Errno

func faultOf(s *Spec) fault {
	if Workloads[s.Workload].First() == s.Role {
		return func(e unix.Errno) unix.Errno { return e }
	}
	return func(e unix.Errno) unix.Errno {
		if e == unix.ECONNRESET || e == unix.EPIPE {
			return 0
		}
		return e
	}
}

// newLoop makes the loop of some flows.
func newLoop(t turn, p Poller, flows []*Flow, fault fault) *loop {
	return &loop{turn: t, poller: p, fault: fault, flows: flows, due: make(dueHeap, 0, len(flows)), idle: make([]int32, 0, len(flows))}
}

// listening is what a poller calls the listener that the flows of a loop share.
const listening = -1

// everyRounds is how often a busy loop looks at the clock and at the stop flag.
const everyRounds = 256

// turns is how many turns ready flows have before the poller is asked again.
const turns = 16

// run runs the flows until all have ended.
func (l *loop) run() error {
	l.live = len(l.flows)
	ready := make([]int32, 256)
	for i := range l.flows {
		if _, err := l.step(int32(i)); err != nil {
			return err
		}
	}
	for l.live > 0 {
		timeout := maxWait.Nanoseconds()
		if len(l.due) > 0 {
			timeout = min(timeout, max(0, l.due[0].at-clock.Now()))
		}
		n, errno := l.poller.Wait(ready, timeout)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		for busy, turn := ready[:n], 0; len(busy) > 0 && turn < turns; turn++ {
			more := busy[:0]
			for _, i := range busy {
				var again bool
				var err error
				if i == listening {
					err = l.admit()
				} else {
					again, err = l.step(i)
				}
				if err != nil {
					return err
				}
				if again {
					more = append(more, i)
				}
			}
			busy = more
		}
		if err := l.overdue(n); err != nil {
			return err
		}
	}
	return nil
}

// step gives flow i its turn and sees to what it waits for then. It reports whether another
// turn would find something to do.
func (l *loop) step(i int32) (again bool, err error) {
	f := l.flows[i]
	if state, _ := f.State(); state == Ended {
		return false, nil
	}
	w, errno := l.turn(f)
	if errno != 0 && errno != unix.EAGAIN || w == 0 {
		l.live--
		f.end(l.fault(errno))
		f.Abort() // the other end sees the end of the stream
		return false, l.poller.Watch(int(i), f.Transport, 0)
	}
	again = w&Again != 0
	w &^= Again
	if w&Due != 0 && !f.queued {
		f.queued = true
		l.due.push(i, f.due)
	}
	if w == Acceptable {
		l.idle = append(l.idle, i)
		if len(l.idle) > 1 {
			return false, nil
		}
		return false, l.poller.Watch(listening, f.Transport, Acceptable)
	}
	if w &^= Due; w == f.watch && !f.fresh {
		return again, nil
	}
	f.watch, f.fresh = w, false
	return again, l.poller.Watch(int(i), f.Transport, w)
}

// admit gives clients that wait to flows that have none.
func (l *loop) admit() error {
	for len(l.idle) > 0 {
		last := len(l.idle) - 1
		i := l.idle[last]
		l.idle = l.idle[:last]
		if _, err := l.step(i); err != nil {
			return err
		}
		if len(l.idle) > last {
			return nil // nobody waits any more
		}
	}
	return l.poller.Watch(listening, l.flows[0].Transport, 0)
}

// overdue gives their turn to flows whose time has come and, now and then, to those that
// nothing will wake. ready is how many flows the poller has just had.
func (l *loop) overdue(ready int) error {
	l.rounds++
	seldom := ready == 0 || l.rounds%everyRounds == 0
	if !seldom && len(l.due) == 0 {
		return nil
	}
	now := clock.Now()
	for len(l.due) > 0 && l.due[0].at <= now {
		i := l.due.pop()
		l.flows[i].queued = false
		if _, err := l.step(i); err != nil {
			return err
		}
	}
	if !seldom {
		return nil
	}
	for i, f := range l.flows {
		stopped := f.Stopped()
		if stopped || f.watch&Readable != 0 && f.late() {
			if _, err := l.step(int32(i)); err != nil {
				return err
			}
		}
		if i == 0 && !stopped && !f.lossy {
			return nil // flows are stopped together, and are all lossy or none
		}
	}
	return nil
}
