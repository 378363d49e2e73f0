package agent

import (
	"strings"
	"testing"
	"time"
)

// TestScatterLate holds a scatterer up and wants its rounds told.
func TestScatterLate(t *testing.T) {
	for _, c := range []struct {
		name string
		move time.Duration
		late bool
	}{
		{"in time", 0, false},
		{"held up", 50 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scatterer{things: []thing{{"flow 0", func(int) error { time.Sleep(c.move); return nil }}}}
			// CPUs 0 to 999 need not be: the move is ours, and hardly ever to the same twice.
			cpus := make([]int, 1000)
			for i := range cpus {
				cpus[i] = i
			}
			before, began := s.made(), time.Now()
			s.start(cpus, 10*time.Millisecond)
			time.Sleep(400 * time.Millisecond)
			w := s.lag(s.made()-before, time.Since(began).Seconds())
			s.end()
			if (len(w) > 0) != c.late || (c.late && !strings.Contains(w[0].Text, "flow 0 was moved")) {
				t.Errorf("%d rounds: warnings %v, want one: %v", s.made(), w, c.late)
			}
		})
	}
	var none *scatterer
	if w := none.lag(none.made(), 1); w != nil {
		t.Errorf("no scatterer: %v", w)
	}
}
