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
	look    []*member       // to be examined by the next Wait

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

// again has the next Wait examine a member.
func (p *poller) again(m *member) {
	if !m.looking {
		m.looking = true
		p.look = append(p.look, m)
	}
}

func (p *poller) Wait(ready []int32, timeout int64) (int, unix.Errno) {
	n := p.examine(ready)
	if n == 0 && timeout != 0 {
		p.sleep(timeout)
		n = p.examine(ready)
	}
	return n, 0
}

// examine reports those that are ready of what was reported last time and what has rung since.
// A ring alone means nothing: it may be of a connection that was closed.
func (p *poller) examine(ready []int32) (n int) {
	p.mu.Lock()
	for k, m := range p.rung {
		m.queued = false
		p.again(m)
		p.rung[k] = nil
	}
	p.rung = p.rung[:0]
	p.mu.Unlock()
	kept := p.look[:0]
	for _, m := range p.look {
		switch {
		case n == len(ready):
			kept = append(kept, m)
		case m.want != 0 && m.t.ready(m.want):
			ready[n] = m.i
			n++
			kept = append(kept, m)
		default:
			m.looking = false
		}
	}
	clear(p.look[len(kept):])
	p.look = kept
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
