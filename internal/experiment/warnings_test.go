package experiment

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestShortLastInterval has a steady flow whose window ended within its last interval: no
// stall, no drift. The record keeps what was counted.
func TestShortLastInterval(t *testing.T) {
	steady := []trial.Flow{{ThroughputBitsPerSecond: 8, IntervalSeconds: 0.2, IntervalBytes: []uint64{20, 20, 20, 20, 20, 0}}}
	if w := flowWarnings(steady); len(w) == 0 {
		t.Fatal("the case is none: a whole interval of nothing is not warned of")
	}
	if w := flowWarnings(whole(steady, 1.001)); len(w) != 0 {
		t.Errorf("a window of 1.001 s in intervals of 0.2 s: %v", w)
	}
	for _, seconds := range []float64{1.2, 1.1999, 1.3} {
		if w := flowWarnings(whole(steady, seconds)); len(w) == 0 {
			t.Errorf("a window of %v s: the last interval, of nothing, is whole and not warned of", seconds)
		}
	}
	if n := len(steady[0].IntervalBytes); n != 6 {
		t.Errorf("the record lost intervals: %d are left", n)
	}
}

func TestDropWarnings(t *testing.T) {
	for want, counters := range map[string]map[string]uint64{
		"": {"server.softnet.processed": 7, "server.srv0.rx_packets": 3, "server.softnet.dropped": 0, "server.softnet.time_squeeze": 9},
		"packets were dropped in the window: server.softnet.dropped 2": {"server.softnet.dropped": 2, "server.softnet.processed": 7},
		"packets were dropped in the window: server.eth1.rx_dropped 1, server.softnet.dropped 2": {
			"server.softnet.dropped": 2, "server.eth1.rx_dropped": 1,
		},
	} {
		got := ""
		for _, w := range dropWarnings(counters) {
			got += w.Text
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestUnseenWork(t *testing.T) {
	for threads, want := range map[int]int{0: 1, 1: 1, 2: 0, 4: 0} {
		if w := unseenWork(2, agent.Placed{NICWork: make([]int, threads)}); len(w) != want {
			t.Errorf("%d threads of 2 NICs: %v", threads, w)
		}
	}
}
