package meter

import (
	"time"

	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// SchemaVersion is the version of [Result]. It is raised when a field changes its meaning;
// fields may be added without.
const SchemaVersion = 1

// Result is what a run measured. A field that could not be measured is absent, never
// zero by guess; a warning says why.
type Result struct {
	Schema  int       `json:"schema"`
	Started time.Time `json:"started"` // wall clock of this host at the opening of the first window
	Config  Config    `json:"config"`
	Rig     string    `json:"rig"` // "veth": the built-in one; "hosts"
	// Complete is false where a host was lost or a flow ended on the way: Error says which,
	// and the figures are of what the others measured, and of what a lost host told until then
	// (warning "cut-off").
	Complete bool   `json:"complete"`
	Error    string `json:"error,omitempty"`

	// Figures are over all windows together; the spread over windows is in Estimate.
	Figures
	// LatencyHistogram is what Latency summarises. Those of several runs can be added up.
	LatencyHistogram *hist.Hist      `json:"latency_histogram,omitempty"`
	Estimate         *Estimate       `json:"estimate,omitempty"`
	Windows          []Window        `json:"windows"`
	Machines         []Machine       `json:"machines"`
	Hosts            []HostResult    `json:"hosts"`
	Flows            []Flow          `json:"flows,omitempty"` // absent where they are more than 1024
	Fairness         *Fairness       `json:"fairness,omitempty"`
	Warnings         []trial.Warning `json:"warnings,omitempty"`
}

// Figures are what was carried and what it cost.
type Figures struct {
	Seconds float64 `json:"seconds"` // the length of the window that all flows shared
	// BitsPerSecond is payload that arrived at the receivers; Reverse what arrived at the
	// senders (answers, the other way of bidir).
	BitsPerSecond        float64 `json:"bits_per_second"`
	ReverseBitsPerSecond float64 `json:"reverse_bits_per_second,omitempty"`
	// SentBitsPerSecond is what the senders handed over; it exceeds what arrived by what is
	// under way at the window's edges, and by what datagrams lost.
	SentBitsPerSecond     float64 `json:"sent_bits_per_second,omitempty"`
	MessagesPerSecond     float64 `json:"messages_per_second"` // receive calls of the receivers
	TransactionsPerSecond float64 `json:"transactions_per_second,omitempty"`
	// Latency is of transactions, or of paced messages from their intended time until they
	// were handed over.
	Latency *hist.Percentiles `json:"latency,omitempty"`

	DatagramsPerSecond float64 `json:"datagrams_per_second,omitempty"` // received
	LostShare          float64 `json:"lost_share,omitempty"`           // of the datagrams, or requests, 0..1
	Lost               uint64  `json:"lost,omitempty"`
	Reordered          uint64  `json:"reordered,omitempty"`
	JitterNanoseconds  uint64  `json:"jitter_nanoseconds,omitempty"` // the worst flow's

	// CPUSeconds is CPU time that was not halted, of all machines together; the next
	// three derive from it. The time of strangers (Machine.CPU, group "stranger") is left out
	// where the source is exact; elsewhere it is in it, and the warning "strangers" says so.
	// Absent where a host was lost.
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
	// ScaledToCPU is the throughput both ways divided by the CPUs that it kept busy: bits a second per
	// CPU.
	ScaledToCPU float64 `json:"bits_per_second_per_cpu,omitempty"`
	// TransactionsPerCPU is transactions per second of CPU time.
	TransactionsPerCPU float64 `json:"transactions_per_cpu_second,omitempty"`
	// ServiceDemand is CPU time per KiB carried, both ways and on all machines.
	ServiceDemand float64 `json:"service_demand_nanoseconds_per_kibibyte,omitempty"`
}

// Estimate is the metric of the run over its windows: transactions a second of rr and crr, bits a
// second of the others.
type Estimate struct {
	Metric string `json:"metric"`
	stats.Estimate
	Reached bool `json:"reached"` // the confidence that was asked for
}

// Window is one measured window.
type Window struct {
	Start float64 `json:"start_seconds"` // since the first window opened
	Figures
	// SkewNanoseconds is how far the hosts' edges were apart, at most: by their
	// clocks, which are compared to within UncertaintyNanoseconds.
	SkewNanoseconds        int64      `json:"skew_nanoseconds"`
	UncertaintyNanoseconds int64      `json:"uncertainty_nanoseconds"`
	Intervals              []Interval `json:"intervals"`
	// Flows is what each flow received per interval, of streams, where flows are at most 256
	// and intervals not too many. Edges are each host's own, Intervals[i].Start after the window opened.
	Flows []FlowIntervals `json:"flows,omitempty"`
}

// FlowIntervals is what one flow received per interval of a window.
type FlowIntervals struct {
	ID       int      `json:"id"`                               // of Result.Flows
	Received []uint64 `json:"received_bytes,omitempty"`         // by the receiver
	Reverse  []uint64 `json:"reverse_received_bytes,omitempty"` // by the sender (bidir)
}

// Interval is a part of a window.
type Interval struct {
	Start                 float64 `json:"start_seconds"` // since the window opened
	Seconds               float64 `json:"seconds"`
	BitsPerSecond         float64 `json:"bits_per_second"`
	ReverseBitsPerSecond  float64 `json:"reverse_bits_per_second,omitempty"`
	TransactionsPerSecond float64 `json:"transactions_per_second,omitempty"`
	P50                   int64   `json:"p50_nanoseconds,omitempty"` // of one host: the worst
	P99                   int64   `json:"p99_nanoseconds,omitempty"`
	Max                   int64   `json:"max_nanoseconds,omitempty"`
	// Utilization of each machine that measures CPU time, in the order of Result.Machines.
	Utilization []float64 `json:"utilization,omitempty"`
	Hosts       int       `json:"hosts"` // that told of it
}

// Machine is what shares one set of CPUs: a host, or several hosts in namespaces.
type Machine struct {
	Hosts  []string  `json:"hosts"`
	Kernel string    `json:"kernel,omitempty"`
	Model  string    `json:"cpu_model,omitempty"`
	CPU    trial.CPU `json:"cpu"` // over all windows; groups are the hosts' names
}

// HostResult is one host of the run.
type HostResult struct {
	Name  string   `json:"name"`
	Role  string   `json:"role"` // "sender" or "receiver"
	Agent string   `json:"agent,omitempty"`
	NICs  []string `json:"nics,omitempty"`
	Error string   `json:"error,omitempty"` // why it was lost

	Model string     `json:"model"` // how its flows ran
	Flows int        `json:"flows"`
	Total load.Tally `json:"total"` // over all windows
	// ClockOffset is the host's CLOCK_MONOTONIC minus this one's, before the run;
	// ClockDrift how much it changed until its end.
	ClockOffset      int64 `json:"clock_offset_nanoseconds"`
	ClockUncertainty int64 `json:"clock_uncertainty_nanoseconds"`
	ClockDrift       int64 `json:"clock_drift_nanoseconds"`
	// StartSkew is how long after the common start its last flow took its first turn.
	StartSkew int64             `json:"start_skew_nanoseconds"`
	Paced     float64           `json:"paced_bits_per_second,omitempty"` // the agent's own bound
	Counters  map[string]uint64 `json:"counters,omitempty"`              // grown in the windows
	// Stacks are those of engine "ustack", as they were in force.
	Stacks []load.StackInfo `json:"stacks,omitempty"`
}

// Flow is one data connection.
type Flow struct {
	ID            int             `json:"id"`
	Sender        string          `json:"sender"`
	Receiver      string          `json:"receiver"`
	BitsPerSecond float64         `json:"bits_per_second"`
	AtSender      load.Tally      `json:"at_sender"`
	AtReceiver    load.Tally      `json:"at_receiver"`
	SenderEnd     load.SocketInfo `json:"sender_socket"`
	ReceiverEnd   load.SocketInfo `json:"receiver_socket"`
	Error         string          `json:"error,omitempty"`
}

// Fairness is how evenly flows were served, by bytes received or by transactions.
type Fairness struct {
	Min    float64 `json:"min_share"` // of the mean
	Median float64 `json:"median_share"`
	Max    float64 `json:"max_share"`
	Jain   float64 `json:"jain_index"` // 1: all alike; 1/n: one has all
}

// Event is how a run goes. Exactly one field is set.
type Event struct {
	Phase    string    `json:"phase,omitempty"`    // what comes now, for people
	Interval *Interval `json:"interval,omitempty"` // as soon as all hosts have told of it
	Window   *Window   `json:"window,omitempty"`   // as it closes
}
