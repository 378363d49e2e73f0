package agent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// thing is something that can be moved to a CPU.
type thing struct {
	name string
	move func(cpu int) error
}

// scatterer moves things to random CPUs until it is ended.
type scatterer struct {
	things []thing
	period time.Duration
	quit   chan struct{}
	done   sync.WaitGroup

	mu     sync.Mutex
	rounds int
	moves  int
	err    error // the first refusal
}

// start owns a goroutine until end. Every period each thing goes to a CPU drawn
// at random, on its own.
func (s *scatterer) start(cpus []int, period time.Duration) {
	s.period, s.quit = period, make(chan struct{})
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		tick := time.NewTicker(period)
		defer tick.Stop()
		at := make([]int, len(s.things))
		for i := range at {
			at[i] = -1
		}
		for {
			s.round(cpus, at)
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
		}
	}()
}

func (s *scatterer) round(cpus, at []int) {
	for i, t := range s.things {
		cpu := cpus[rand.IntN(len(cpus))]
		if cpu == at[i] {
			continue
		}
		err := t.move(cpu)
		s.mu.Lock()
		if err == nil {
			at[i] = cpu
			s.moves++
		} else if s.err == nil {
			s.err = fmt.Errorf("scatter %s: %w", t.name, err)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.rounds++
	s.mu.Unlock()
}

// made is how many rounds were made so far; 0 of none.
func (s *scatterer) made() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rounds
}

// scatterLimit is the share of the rounds due in a window below which there is a
// warning: the scatterer needs a CPU too, and gets it late where all are busy.
const scatterLimit = 0.8

// lag compares the rounds made in a window with those that were due.
func (s *scatterer) lag(rounds int, seconds float64) []trial.Warning {
	if s == nil || float64(rounds) >= scatterLimit*seconds/s.period.Seconds()-1 {
		return nil
	}
	return []trial.Warning{{Code: "scatter-late", Text: fmt.Sprintf(
		"%s was moved %d times in %.2f s, not every %v: the scatterer did not get a CPU", s.what(), rounds, seconds, s.period)}}
}

// so tells how many moves were made, and the first refusal.
func (s *scatterer) so() (moves int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moves, s.err
}

// what names the things.
func (s *scatterer) what() string {
	var names []string
	for _, t := range s.things { // a NIC has an interrupt for each queue
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	return strings.Join(names, "+")
}

// end stops the moving.
func (s *scatterer) end() {
	close(s.quit)
	s.done.Wait()
}
