package ustack

import (
	"sync"
	"sync/atomic"
	"time"
)

// deadline is a point in time that a blocked call waits for. The zero deadline never
// comes.
type deadline struct {
	passed atomic.Bool
	mu     sync.Mutex
	timer  *time.Timer
	set    int           // counts calls of at, to tell an old timer from the new
	done   chan struct{} // closed when the deadline has passed; nil: nobody has asked
}

// at sets the deadline; the zero time is never.
func (d *deadline) at(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.set++
	if d.passed.Load() {
		d.passed.Store(false)
		d.done = nil // the old one is closed
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.pass()
		return
	}
	set := d.set
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.set == set {
			d.pass()
		}
	})
}

// pass lets the deadline come. d.mu is held.
func (d *deadline) pass() {
	d.passed.Store(true)
	if d.done != nil {
		close(d.done)
	}
}

// wait returns a channel that is closed when the deadline comes, if it is not moved
// before.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
		if d.passed.Load() {
			close(d.done)
		}
	}
	return d.done
}
