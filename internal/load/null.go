package load

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Null is an engine that carries nothing: both ends return at once. It measures
// the tool itself.
type Null struct{}

// nullEnd is one end; the two know nothing of each other.
type nullEnd struct {
	flow  *FlowSpec
	next  int // of a listener: the flow that it accepts next
	ended atomic.Bool
}

// Listen makes an end that accepts every flow at once.
func (Null) Listen(f *FlowSpec) (Listener, error) { return &nullEnd{flow: f, next: f.ID}, nil }

// Dial makes an end at once.
func (Null) Dial(*FlowSpec, int, string, DialOptions) (Transport, error) { return &nullEnd{}, nil }

// Poller has every flow that is watched ready at all times.
func (Null) Poller() (Poller, error) { return &nullPoller{}, nil }

func (e *nullEnd) Address() string { return "null" }

func (e *nullEnd) Accept(DialOptions) (int, Transport, error) {
	id := e.next
	e.next++
	return id, &nullEnd{}, nil
}

func (e *nullEnd) Send(b []byte) (int, unix.Errno) { return len(b), 0 }
func (e *nullEnd) Info() SocketInfo                { return SocketInfo{} }
func (e *nullEnd) Abort()                          { e.ended.Store(true) }
func (e *nullEnd) Close()                          {}
func (e *nullEnd) Reopen() unix.Errno              { return 0 }
func (e *nullEnd) Hangup()                         {}

func (e *nullEnd) Recv(b []byte) (int, unix.Errno) {
	if e.ended.Load() {
		return 0, 0
	}
	return len(b), 0
}

// nullPoller gives the flows that are watched their turns.
type nullPoller struct {
	watched []int32
}

func (p *nullPoller) Watch(i int, _ Transport, want Wait) error {
	at := -1
	for k, w := range p.watched {
		if w == int32(i) {
			at = k
		}
	}
	switch {
	case want != 0 && at < 0:
		p.watched = append(p.watched, int32(i))
	case want == 0 && at >= 0:
		p.watched[at] = p.watched[len(p.watched)-1]
		p.watched = p.watched[:len(p.watched)-1]
	}
	return nil
}

func (p *nullPoller) Wait(ready []int32, _ int64) (int, unix.Errno) {
	return copy(ready, p.watched), 0
}

func (p *nullPoller) Close() {}
