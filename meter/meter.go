// Package meter measures networks and the hosts at their ends, as netperf, iperf3
// and neper do, on any number of hosts at once: [Run] makes flows between senders and
// receivers, starts them together, measures one window that all of them share, and says
// what was carried, how quickly answers came, what it cost in CPU time on each machine, and
// what a reader must know before trusting a figure.
//
// Senders and receivers are hosts on which `stackmeter serve` runs, or this one. Without
// any, Run makes a rig of its own of network namespaces and veth NICs, which
// needs root or user namespaces and touches nothing of the machine's own network.
//
// Both ends of a flow run in processes of their own, which are this program started again
// in another role. A program that uses this package must therefore begin its main
// function with [Dispatch]:
//
//	func main() {
//		meter.Dispatch()
//		result, err := meter.Run(context.Background(), meter.Config{Workload: "tcp_rr"})
//		...
//	}
//
// Units stand in the names of fields in JSON. Rates of data are bits a second (SI), sizes
// are bytes, times are nanoseconds or seconds as named.
package meter

import (
	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Dispatch takes over a process that was started for one of the roles in which Run
// starts this program, and does not return from it. In any other process it does nothing.
func Dispatch() {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: engines.Worker, agent.Role: agent.Main})
}
