package export

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/meter"
)

// TestIperf3OfManyFlows wants no document whose sums over streams would all be zero.
func TestIperf3OfManyFlows(t *testing.T) {
	r := &meter.Result{Complete: true, Config: meter.Config{Workload: "tcp_stream", Flows: 2000}}
	var out bytes.Buffer
	if err := RunIperf3(&out, r); err == nil || !strings.Contains(err.Error(), "1024") || out.Len() > 0 {
		t.Errorf("%v, and wrote %d bytes", err, out.Len())
	}
}
