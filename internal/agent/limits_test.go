package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestPaceIsTold wants a bound on the rate to be shared among the senders and told to
// the controller, which must not take it for the stack's own.
func TestPaceIsTold(t *testing.T) {
	for _, c := range []struct {
		allowed float64
		role    load.Role
		each    uint64
		told    float64
	}{
		{0, load.Client, 0, 0},
		{8e6, load.Server, 0, 0},
		{8e6, load.Client, 500_000, 8e6},
		{1, load.Client, 1, 1},
	} {
		s := load.Spec{Role: c.role, Workload: "stream", Flows: []load.FlowSpec{{MessageBytes: 1}, {MessageBytes: 1}}}
		told := Limits{BitsPerSecond: c.allowed}.pace(&s)
		if told != c.told || s.Flows[0].PacingBytesPerSecond != c.each || s.Flows[1].PacingBytesPerSecond != c.each {
			t.Errorf("%+v: told %v, flows paced at %d", c, told, s.Flows[0].PacingBytesPerSecond)
		}
	}
}

// TestSocketBuffersAreMemory wants what a controller asks of the kernel counted too.
func TestSocketBuffersAreMemory(t *testing.T) {
	l := Limits{Flows: 4, Lifetime: time.Minute, Memory: 1000}
	s := load.Spec{Flows: []load.FlowSpec{{MessageBytes: 200, SendBufferBytes: 500, ReceiveBufferBytes: 300}}, Lifetime: time.Second}
	if err := l.check(s); err != nil {
		t.Errorf("1000 bytes of 1000: %v", err)
	}
	s.Flows[0].ReceiveBufferBytes++
	if err := l.check(s); err == nil || !strings.Contains(err.Error(), "buffers of 1001 bytes, this agent allows 1000") {
		t.Errorf("1001 bytes of 1000: %v", err)
	}
}
