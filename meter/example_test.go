package meter_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/stackmeter/stackmeter/meter"
)

// A program of one's own that measures transactions over this machine's loopback. Leave
// Senders and Receivers out for the rig of namespaces and veth NICs. The main function begins
// with meter.Dispatch, because the two ends of the flows are this program started again.
func Example() {
	// meter.Dispatch() comes first in main.
	r, err := meter.Run(context.Background(), meter.Config{
		Workload: "tcp_rr", Flows: 2, NoDelay: true,
		Senders: []meter.Host{{}}, Receivers: []meter.Host{{}}, // both: this machine
		RampUp: 50 * time.Millisecond, Duration: 200 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("complete:", r.Complete)
	fmt.Println("answered:", r.TransactionsPerSecond > 0 && r.Latency.P99 > 0)
	// Output:
	// complete: true
	// answered: true
}

// Two hosts on which `stackmeter serve` runs, and what the run says while it goes.
func ExampleConfig() {
	c := meter.Config{
		Workload:  "tcp_stream",
		Senders:   []meter.Host{{Agent: "10.0.0.1:4777", NIC: "eth1"}},
		Receivers: []meter.Host{{Agent: "10.0.0.2:4777", NIC: "eth1"}},
		Duration:  5 * time.Second,
		Watch: func(e meter.Event) {
			if i := e.Interval; i != nil {
				fmt.Printf("%4.1f s  %.3g b/s\n", i.Start+i.Seconds, i.BitsPerSecond)
			}
		},
	}
	if err := c.Normalize(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.MessageBytes, c.RampUp, c.Interval)
	// Output: 65536 500ms 1s
}
