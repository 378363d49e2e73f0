package agent

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// scatterer moves threads to random CPUs until it is ended.
type scatterer struct {
	quit  chan struct{}
	done  sync.WaitGroup
	moves uint64 // calls that moved a thread; valid after end
	err   error  // the first refusal; valid after end
}

// startScatter owns a goroutine until end. Every period each thread of tids goes
// to a CPU drawn at random, on its own, from cpus.
func startScatter(tids, cpus []int, period time.Duration) *scatterer {
	s := &scatterer{quit: make(chan struct{})}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		tick := time.NewTicker(period)
		defer tick.Stop()
		at := make([]int, len(tids))
		for i := range at {
			at[i] = -1
		}
		for {
			for i, tid := range tids {
				cpu := cpus[rand.IntN(len(cpus))]
				if cpu == at[i] {
					continue
				}
				if err := sysx.SetAffinity(tid, []int{cpu}); err != nil {
					if s.err == nil {
						s.err = err
					}
					continue
				}
				at[i] = cpu
				s.moves++
			}
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
		}
	}()
	return s
}

// end stops the moving and returns how often a thread was moved.
func (s *scatterer) end() (moves uint64, err error) {
	close(s.quit)
	s.done.Wait()
	return s.moves, s.err
}
