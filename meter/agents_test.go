package meter_test

import (
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/meter"
)

// TestManyAgents has 64 agents, each in a namespace of its own, start together and measure one
// window. What a shared machine makes of it is logged; that the window is common and the start
// is told is wanted.
func TestManyAgents(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("makes 64 hosts")
	}
	c := meter.Config{Workload: "tcp_rr", RigPairs: 32, Rate: 20, RampUp: 100 * time.Millisecond, Duration: 500 * time.Millisecond}
	r, err := meter.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete || len(r.Hosts) != 64 || len(r.Machines) != 1 || len(r.Flows) != 32 {
		t.Fatalf("complete %v, %d hosts, %d machines, %d flows", r.Complete, len(r.Hosts), len(r.Machines), len(r.Flows))
	}
	w := r.Windows[0]
	if r.Seconds < 0.4 || r.Seconds > 0.7 || w.UncertaintyNanoseconds <= 0 || w.SkewNanoseconds <= 0 {
		t.Errorf("%v s shared, skew %v, uncertainty %v", r.Seconds, w.SkewNanoseconds, w.UncertaintyNanoseconds)
	}
	var start time.Duration
	for _, h := range r.Hosts {
		if h.StartSkew == 0 || h.Flows != 1 {
			t.Errorf("%s: start skew %d, %d flows", h.Name, h.StartSkew, h.Flows)
		}
		start = max(start, time.Duration(h.StartSkew))
	}
	t.Logf("start skew %v, window skew %v ± %v, %.0f transactions/s, %.3f s shared of %v", start, time.Duration(w.SkewNanoseconds),
		time.Duration(w.UncertaintyNanoseconds), r.TransactionsPerSecond, r.Seconds, r.Config.Duration)
}
