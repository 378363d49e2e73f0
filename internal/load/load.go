// Package load makes network load and counts it, the way netperf and netperf3
// do: a controller, flows over data connections, processes or threads or epoll
// loops, and counts that are taken over one window that is the same for every flow.
//
// A [Workload] is what the two ends of a flow do (stream, rr, crr, ...); an
// [Engine] carries its bytes (the kernel's sockets, or nothing at all); a driver runs
// it: one thread a flow that blocks, or one thread for many flows that polls. None of
// the three knows the other two.
//
// Both ends run in worker processes of their own ([Pool] starts them, [WorkerMain]
// is their main function), because the hot loops make raw system calls: these
// hold a processor of the Go scheduler and would stall the collector of a
// process that does anything else. Workers run with the collector and
// asynchronous preemption off and allocate nothing in the loop.
//
// Counts and latency histograms live in memory shared between workers and the
// process that started them ([Table]), so sampling costs the workers nothing: no thread
// of theirs wakes at the window's edges.
package load
