package agent

import (
	"context"
	"errors"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
)

// Options are what the owner of a host grants a session.
type Options struct {
	Limits Limits
	// AllowSettings lets the controller configure and place: for agents that the
	// controller's own user started.
	AllowSettings bool
	Version       string
}

// session is the state of one session. Its methods are called one at a time.
type session struct {
	options Options
	spec    load.Spec
	pool    *load.Pool
	scatter *scatterer
	probe   *cpu.Probe
	lost    []Limit
	settings
}

func newSession(o Options) (*session, error) {
	return &session{options: o}, nil
}

// close puts the host back.
func (s *session) close() error {
	_, err := s.release(context.Background(), none{})
	if s.probe != nil {
		err = errors.Join(err, s.probe.Close())
	}
	return errors.Join(err, s.restore())
}
