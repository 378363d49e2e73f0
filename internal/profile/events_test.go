package profile

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/profile/pmu"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// TestEventsByFunction runs the pass of hardware events with events that every machine
// counts in their place: context switches, of each of which a sample is taken, and one that
// no machine has.
func TestEventsByFunction(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: every CPU is sampled")
	}
	stream(t)
	p, err := Run(t.Context(), Options{
		Duration: 2 * time.Second, Passes: []string{PassEvents}, PIDs: []int{os.Getpid()},
		events: []pmu.Event{
			{Name: "context-switches", Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CONTEXT_SWITCHES, Period: 1},
			{Name: "cpu-clock", Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Period: 5_000_000},
			{Name: "nothing", Type: unix.PERF_TYPE_HW_CACHE, Config: 0xffffff, Period: 1000},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Events) != 2 {
		t.Fatalf("%d events, want the two that there are", len(p.Events))
	}
	if !slices.ContainsFunc(p.Limits, func(l Limit) bool { return l.What == "hardware event nothing" }) {
		t.Errorf("limits %+v do not name the event that there is not", p.Limits)
	}
	for _, e := range p.Events {
		if e.Seconds < 0.3 || e.Bytes == 0 || e.Samples == 0 {
			t.Errorf("%s: %d samples in %.2f s over %d bytes", e.Event.Name, e.Samples, e.Seconds, e.Bytes)
		}
		sum := 0.0
		for _, f := range e.ByFunction() {
			sum += f.Seconds
		}
		near(t, e.Event.Name+" events", sum, float64(e.Samples)*float64(e.Event.Period))
	}
	if i := slices.IndexFunc(p.Events[0].Stacks, func(s Stack) bool { return s.Stage != stage.Wakeup && s.Stage != stage.Load }); i >= 0 && p.Events[0].Stacks[i].Count*2 > p.Events[0].Samples {
		t.Errorf("most context switches are in stage %s", p.Events[0].Stacks[i].Stage)
	}
	d, err := Compare([]*Profile{withEvents(t, p)}, []*Profile{withEvents(t, p)})
	if err != nil || len(d.Events) != 2 || len(d.Events[0].Functions) == 0 {
		t.Errorf("comparison of events: %+v, %v", d, err)
	}
}

// withEvents is the captured profile with the events of another.
func withEvents(t *testing.T, p *Profile) *Profile {
	c := captured(t)
	c.Events = p.Events
	return c
}
