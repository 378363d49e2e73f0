// Package trial holds the record of one trial: what was asked, what was in
// force, what was measured, and every warning. It is plain data: the runner
// fills it, the store writes it as one JSON line, analysis and reports derive
// every figure from it.
//
// Units stand in the JSON names. Times are nanoseconds or seconds as named,
// rates are bits per second (SI), sizes are bytes. A field that could not be
// measured is absent (omitempty), never zero by guess; the reason is among the
// warnings.
package trial

import "time"

// SchemaVersion is the version of the trial record and of the manifest. It is
// raised when a field changes meaning; fields may be added without.
const SchemaVersion = 1

// Status says whether a trial counts.
type Status string

// The states of a trial. Only OK trials enter the analysis; the others stay in
// the record.
const (
	OK           Status = "ok"
	Contaminated Status = "contaminated" // strangers or the hypervisor used the CPUs above the threshold; was repeated
	Failed       Status = "failed"       // could not be run or a setting was not in force
)

// Trial is one run of one workload in one configuration.
type Trial struct {
	Schema     int               `json:"schema"`
	ID         string            `json:"id"`         // unique in the result: experiment, order and attempt, "affinity.12.1"
	Experiment string            `json:"experiment"` // name of the experiment in the plan
	Levels     map[string]string `json:"levels"`     // factor name -> level, all factors of the experiment
	Replicate  int               `json:"replicate"`  // from 1; a block of the randomised design
	Order      int               `json:"order"`      // position in the executed order, from 1
	Attempt    int               `json:"attempt"`    // from 1; above 1 after contaminated or failed attempts, also of an interrupted run
	Status     Status            `json:"status"`
	Error      string            `json:"error,omitempty"`

	Started       time.Time `json:"started"`        // wall clock at the window's opening edge
	WindowSeconds float64   `json:"window_seconds"` // measured length of the common window

	// ThroughputBitsPerSecond is payload received by all flows in the window.
	ThroughputBitsPerSecond float64 `json:"throughput_bits_per_second"`
	// ScaledToCPU is the paper's metric on the whole machine: throughput divided
	// by CPU.Utilization (share of all online CPUs that was not halted).
	ScaledToCPU float64 `json:"throughput_scaled_to_cpu_bits_per_second,omitempty"`
	// ServerScaledToCPU divides by CPU.ServerUtilization: only CPU time
	// attributed to the server (its processes and its NICs' receive work).
	ServerScaledToCPU float64 `json:"server_throughput_scaled_to_cpu_bits_per_second,omitempty"`
	// ServiceDemand is CPU time of the whole machine per KiB received.
	ServiceDemand float64 `json:"service_demand_nanoseconds_per_kibibyte,omitempty"`
	// ServerServiceDemand is the server's CPU time per KiB received.
	ServerServiceDemand float64 `json:"server_service_demand_nanoseconds_per_kibibyte,omitempty"`
	MessagesPerSecond   float64 `json:"messages_per_second"` // receive calls that returned data, per second

	CPU      CPU               `json:"cpu"`
	Flows    []Flow            `json:"flows"`
	Knobs    []Knob            `json:"knobs"`
	Counters map[string]uint64 `json:"counters,omitempty"` // differences over the window, kernel names: "server.softnet.dropped"
	Warnings []Warning         `json:"warnings,omitempty"`
}

// CPU is CPU time over exactly the window, on the server host. On a rig whose
// client and server share one machine it covers both, and the groups tell them
// apart.
type CPU struct {
	Source          string  `json:"source"`            // "bpf", "proc-stat-idle", ...
	Exact           bool    `json:"exact"`             // false: sampled by tick, see cpucheck
	UserSystemSplit string  `json:"user_system_split"` // "exact", "tick" or "none": how user and system were told apart
	Online          int     `json:"online_cpus"`
	WindowSeconds   float64 `json:"window_seconds"` // the probe's own edges; differs from the trial's by the reading time
	// Utilization is the share (0..1) of all online CPUs that was not halted:
	// 1 - idle/(online*window). Steal is not part of it.
	Utilization float64 `json:"utilization"`
	// TaskUtilization leaves the idle task's own busy time (polling, entry and
	// exit of idle) out: the share in which something other than the idle task ran.
	TaskUtilization float64 `json:"utilization_not_idle_task"`
	// ServerUtilization is the group "server" as a share of all online CPUs.
	// On the server of a two-machine rig it equals Utilization.
	ServerUtilization float64   `json:"server_utilization"`
	PerCPU            []CPUTime `json:"per_cpu"`
	// Groups attributes task, softirq and irq time (seconds) to who ran:
	// "server", "client", "tool" (stackmeter itself beside its workers),
	// "wire" (what stands in for the hardware of the rig wire's NICs),
	// "kernel" (kernel threads that are no NAPI thread of the rig), "stranger"
	// (every other process), "idle-softirq" (softirq and irq over the idle task),
	// "idle-busy" (idle task, not halted).
	Groups    map[string]float64 `json:"group_seconds,omitempty"`
	Strangers []Stranger         `json:"strangers,omitempty"` // the largest few, by CPU time
	// ClosureError is |sum of all classes - wall| / wall, the probe's own check.
	ClosureError float64 `json:"closure_error"`
}

// CPUTime is one CPU's time by class, in seconds of the window.
type CPUTime struct {
	CPU      int     `json:"cpu"`
	User     float64 `json:"user_seconds"`
	System   float64 `json:"system_seconds"`
	SoftIRQ  float64 `json:"softirq_seconds"`
	IRQ      float64 `json:"irq_seconds"`
	Idle     float64 `json:"idle_seconds"`      // halted (includes iowait where the source does not tell it)
	IdleBusy float64 `json:"idle_busy_seconds"` // idle task running, not halted
	IOWait   float64 `json:"iowait_seconds"`    // idle with I/O outstanding; a kind of idle, never busy
	Steal    float64 `json:"steal_seconds"`
}

// Stranger is a process that is no part of the trial yet used CPU in it.
type Stranger struct {
	PID     int     `json:"pid"`
	Comm    string  `json:"comm"`
	Seconds float64 `json:"seconds"`
}

// Flow is one data connection.
type Flow struct {
	ID                      int      `json:"id"`
	NIC                     int      `json:"nic"`        // index of the NIC in the rig, from 0
	ServerCPU               int      `json:"server_cpu"` // -1: not pinned
	ClientCPU               int      `json:"client_cpu"`
	ThroughputBitsPerSecond float64  `json:"throughput_bits_per_second"`
	Bytes                   uint64   `json:"bytes"`                        // received in the window
	Messages                uint64   `json:"messages"`                     // receive calls that returned data
	EdgeSkewNanoseconds     int64    `json:"edge_skew_nanoseconds"`        // how far this flow's samples were from the common edges
	IntervalSeconds         float64  `json:"interval_seconds"`             // as asked; samples that came late are warned of
	IntervalBytes           []uint64 `json:"interval_bytes"`               // received, per interval of the window; the last may be shorter
	CongestionControl       string   `json:"congestion_control,omitempty"` // read back from the socket
	SendBufferBytes         int      `json:"send_buffer_bytes,omitempty"`  // read back (the kernel doubles what is asked)
	ReceiveBufferBytes      int      `json:"receive_buffer_bytes,omitempty"`
	NoDelay                 bool     `json:"nodelay"`
	Retransmits             uint64   `json:"retransmits,omitempty"` // segments, whole life of the connection
	// Sender is the sender's TCP_INFO at the connection's end; nil where it has none.
	Sender *Sender `json:"sender,omitempty"`
}

// Sender is what held a connection's sender up, over its whole life (TCP_INFO, include/uapi/linux/tcp.h).
// Shares are of the time in which it had bytes to send; a sender waits for one thing at a
// time.
type Sender struct {
	BusySeconds      float64 `json:"busy_seconds"`                   // tcpi_busy_time
	ReceiveWindow    float64 `json:"limited_by_receive_window"`      // share: tcpi_rwnd_limited
	SendBuffer       float64 `json:"limited_by_send_buffer"`         // share: tcpi_sndbuf_limited
	RTTSeconds       float64 `json:"smoothed_rtt_seconds,omitempty"` // tcpi_rtt, last
	SegmentBytes     int     `json:"segment_bytes,omitempty"`        // tcpi_snd_mss, last
	CongestionWindow int     `json:"congestion_window_segments,omitempty"`
}

// Knob is a setting as it was in force in the window, read back from the kernel.
type Knob struct {
	Name      string `json:"name"`      // "irq-affinity", "mtu", ...
	Target    string `json:"target"`    // "server:srv0", "client:flow1", "machine"
	Value     string `json:"value"`     // read back
	Mechanism string `json:"mechanism"` // what carries it: "threaded-napi", "smp_affinity_list", "sched_setaffinity", ...
}

// Warning is something a reader must know before trusting a figure.
type Warning struct {
	Code string `json:"code"` // stable, kebab-case: "stalled-flow", "skewed-flow", "steal", "contaminated", ...
	Text string `json:"text"`
}
