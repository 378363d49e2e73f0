package agent

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// maxRunName is what is kept of a run's name, in bytes.
const maxRunName = 64

// monitor is what a listener sees of a session while that is being served. The
// methods of a nil monitor do nothing: an agent with one controller needs none.
type monitor struct {
	from  string // address and, where it has one, certified name
	since time.Time

	mu      sync.Mutex
	run     string      // its name, from hello
	method  string      // the call that is being answered, or was cut off
	phase   phase       // of the load, "" where there is none
	spec    load.Spec   // of the load
	table   *load.Table // of the load; nil where there is none
	pool    *load.Pool  // of the load, for its data connections
	carried load.Tally  // by loads that are over
	ended   string      // how far the session came, once it has ended
}

func (m *monitor) introduce(run string) {
	if m == nil || run == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = strings.ToValidUTF8(run[:min(len(run), maxRunName)], "")
}

// call notes that a call has begun.
func (m *monitor) call(method string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.method = method
}

// answered notes that a call has ended, and how the load stands after it.
func (m *monitor) answered(s *session) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.method = ""
	if s.pool != nil {
		m.phase, m.spec, m.table, m.pool = s.phase, s.spec, s.pool.Table, s.pool
	}
}

// letGo comes before the load's counts are unmapped.
func (m *monitor) letGo() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table != nil {
		for i := range m.table.Len() {
			m.carried.Add(m.table.Slot(i).Read())
		}
	}
	m.phase, m.spec, m.table, m.pool = "", load.Spec{}, nil, nil
}

// who names the session to others.
func (m *monitor) who() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("a %s from %s since %s", sessionOf(m.run), m.from, m.since.Format(time.TimeOnly))
}

// sessionOf is what a session is called.
func sessionOf(run string) string {
	if run == "" {
		return "session"
	}
	return fmt.Sprintf("session of run %q", run)
}

// ending reports whether the session has lost its controller.
func (m *monitor) ending() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended != ""
}

// end keeps how far the session came. It comes before the host is put back.
func (m *monitor) end() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = "no load prepared"
	if m.phase != "" {
		m.ended = fmt.Sprintf("the load %s", m.phase)
	}
	if m.method != "" {
		m.ended += fmt.Sprintf(", in the call %.32q", m.method)
	}
}
