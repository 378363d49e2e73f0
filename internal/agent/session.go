package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Options are what the owner of a host grants a session.
type Options struct {
	Name   string // of the host in records: "server", "client"
	Limits Limits
	// AllowSettings lets the controller configure and place: for agents that the
	// controller's own user started.
	AllowSettings bool
	// Namespace: the agent lives in a network namespace that was made for it.
	Namespace bool
	// Idle is how long a session may make no call; a load that is prepared adds its
	// lifetime. 0: for ever.
	Idle    time.Duration
	monitor *monitor // of the listener that serves the session
}

// session is the state of one session. Its methods are called one at a time.
type session struct {
	options Options
	spec    load.Spec
	pool    *load.Pool
	phase   phase // of pool
	scatter *scatterer
	probe   *cpu.Probe
	lost    []Limit
	irqs    map[int]host.CPUList // interrupts that place pinned
	taken   map[int]uint64       // how often each had come by then
	// flowCPUs are the CPUs of the flows that may not move, by index of the spec.
	flowCPUs map[int]host.CPUList
	settings
	wired
	link
}

func newSession(o Options) *session {
	s := &session{options: o, settings: settings{root: host.Live()}}
	s.explore()
	return s
}

func (s *session) hello(ctx context.Context, p helloParams) (Hello, error) {
	if p.Measures {
		if err := s.openProbe(ctx); err != nil {
			return Hello{}, err
		}
	}
	cpus, err := sysx.Affinity(0)
	if err != nil {
		return Hello{}, err
	}
	facts, err := s.root.Facts()
	if err != nil {
		return Hello{}, err
	}
	raw, err := json.Marshal(facts)
	return Hello{Protocol: Protocol, PID: os.Getpid(), CPUs: cpus, Host: raw, Lost: s.lost}, err
}

// close puts the host back.
func (s *session) close() error {
	s.endLoad()
	var err error
	if s.probe != nil {
		err = errors.Join(err, s.probe.Close())
	}
	return errors.Join(err, s.restore(), s.wired.close())
}
