package userstack

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// watching is the part of a transport that a poller knows.
type watching struct{ member atomic.Pointer[member] }

func (w *watching) enlist(m *member) { w.member.Store(m) }

// notify is what the stack calls.
func (w *watching) notify() {
	if m := w.member.Load(); m != nil {
		m.ring()
	}
}

// watched is a transport, or a listener, that a poller waits for.
type watched interface {
	enlist(*member)
	// ready reports whether there is something to do now, and asks for a ring if not.
	ready(want load.Wait) bool
}

// poller waits for many transports, level-triggered: what it has reported it looks at again
// at the next Wait; what had nothing to do rings when there is something.
type poller struct {
	members map[int]*member // by flow
	look    []*member       // to be looked at by the next Wait

	mu   sync.Mutex
	rung []*member
	wake chan struct{}

	timer   *time.Timer
	expires time.Time // of the timer; zero: it has been drained
}

// member is a transport as the poller has it.
type member struct {
	p       *poller
	i       int32
	t       watched
	want    load.Wait
	looking bool // in look
	queued  bool // in rung
}

func newPoller() *poller {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &poller{members: map[int]*member{}, wake: make(chan struct{}, 1), timer: t}
}

// ring is called by a stack in the middle of its work.
func (m *member) ring() {
	p := m.p
	p.mu.Lock()
	first := len(p.rung) == 0
	if !m.queued {
		m.queued = true
		p.rung = append(p.rung, m)
	}
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *poller) Watch(i int, t load.Transport, want load.Wait) error {
	m := p.members[i]
	if m == nil {
		m = &member{p: p, i: int32(i)}
		p.members[i] = m
	}
	m.want = want
	w := t.(watched)
	if i < 0 {
		w = t.(*acceptor).l
	}
	if m.t != w {
		m.t = w
		w.enlist(m)
	}
	p.again(m)
	return nil
}

// again has the next Wait look at a member.
func (p *poller) again(m *member) {
	if !m.looking {
		m.looking = true
		p.look = append(p.look, m)
	}
}

func (p *poller) Wait(ready []int32, timeout int64) (int, unix.Errno) {
	for k, m := range p.look {
		p.look[k], m.looking = nil, false
		if m.want != 0 && m.t.ready(m.want) {
			m.ring()
		}
	}
	p.look = p.look[:0]
	n := p.take(ready)
	if n > 0 || timeout == 0 {
		return n, 0
	}
	p.sleep(timeout)
	return p.take(ready), 0
}

// take reports those that have rung and are wanted.
func (p *poller) take(ready []int32) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := 0
	for ; at < len(p.rung) && n < len(ready); at++ {
		m := p.rung[at]
		m.queued = false
		if m.want == 0 {
			continue
		}
		ready[n] = m.i
		n++
		p.again(m)
	}
	left := copy(p.rung, p.rung[at:])
	clear(p.rung[left:])
	p.rung = p.rung[:left]
	return n
}

// sleep waits for a ring, or until about the timeout. A timer that will fire in good time is
// left as it is: to set one costs more than to wake once too often.
func (p *poller) sleep(timeout int64) {
	if timeout < 0 {
		timeout = int64(time.Hour)
	}
	now := time.Now()
	if due := now.Add(time.Duration(timeout)); p.expires.IsZero() || p.expires.After(due) {
		p.timer.Reset(time.Duration(timeout))
		p.expires = due
	}
	select {
	case <-p.wake:
	case <-p.timer.C:
		p.expires = time.Time{}
	}
}

func (p *poller) Close() { p.timer.Stop() }
