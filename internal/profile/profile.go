// Package profile finds out where the network stack spends its time and why it does
// not scale, while any load runs: samples by function, stage and context; counts per
// frame and per megabyte; the CPUs between which each flow's bytes go; and the locks that
// were waited for.
//
// Throughput and traces are never taken in the same window. A profile has passes, each
// with slices of its own in randomised rounds, among them slices in which nothing is
// on; what a pass costs is the throughput of its slices against those of the same
// round. Figures are per byte and per frame carried in the slices of their own pass.
//
// What this machine or this user can't have is left out and said ([Profile.Limits]).
// The idle time is never taken from samples, but from package cpu.
package profile

import (
	"time"

	"github.com/stackmeter/stackmeter/internal/profile/attach"
	"github.com/stackmeter/stackmeter/internal/profile/count"
	"github.com/stackmeter/stackmeter/internal/profile/flow"
	"github.com/stackmeter/stackmeter/internal/profile/lock"
	"github.com/stackmeter/stackmeter/internal/profile/pmu"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// SchemaVersion is the version of the record. It is raised when a field changes
// meaning; fields may be added without.
const SchemaVersion = 1

// The passes. Off is the slices in which nothing is on.
const (
	PassOff    = "off"
	PassLight  = "light"
	PassSample = "sample"
	PassFrame  = "frame"
	PassFlow   = "flow"
	PassLock   = "lock"
	PassEvents = "events"
)

// Profile is the record of one profile. It is plain data.
type Profile struct {
	Schema  int       `json:"schema"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // of wall time, all passes
	Kernel  string    `json:"kernel"`
	CPUs    []int     `json:"cpus"` // online
	// Load says what ran: "traffic as found", or a trial with its Levels.
	Load   string            `json:"load"`
	Levels map[string]string `json:"levels,omitempty"` // as in trial.Trial
	Trial  string            `json:"trial,omitempty"`  // its ID
	Passes []Pass            `json:"passes"`

	Sampling *Sampling         `json:"sampling,omitempty"`
	Events   []EventSampling   `json:"events,omitempty"` // hardware events, by function
	Light    *Counted          `json:"light,omitempty"`
	Frame    *Counted          `json:"frame,omitempty"`
	Flows    []flow.Flow       `json:"flows,omitempty"` // most bytes first
	FlowLost uint64            `json:"flow_events_lost,omitempty"`
	Locks    []lock.Site       `json:"locks,omitempty"` // longest total wait first
	LockLost lock.Lost         `json:"locks_lost"`
	Counters map[string]uint64 `json:"counters,omitempty"` // the kernel's own, over the slices with nothing on
	Limits   []Limit           `json:"limits,omitempty"`
	Warnings []trial.Warning   `json:"warnings,omitempty"`
}

// Pass is one pass: when nothing else of the profiler was on but what it names.
type Pass struct {
	Name    string  `json:"name"`
	Slices  int     `json:"slices"`
	Seconds float64 `json:"seconds"`
	// Bytes is what IP received in the slices, headers of its packets included, in the
	// namespaces that were watched.
	Bytes                   uint64  `json:"ip_bytes_received"`
	ThroughputBitsPerSecond float64 `json:"throughput_bits_per_second"`
	// Gain is the throughput of this pass's slices against those of the same rounds with
	// nothing on: a share, negative for a loss. It is nil for the pass "off" and where
	// nothing was carried. A steady load is presumed.
	Gain *stats.Comparison `json:"gain,omitempty"`
}

// Limit is what could not be had.
type Limit struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Mend string `json:"mend,omitempty"`
}

// Counted is what a counting pass counted in its slices.
type Counted struct {
	Events map[string]uint64            `json:"events"` // by the names in package count
	Kernel map[string]uint64            `json:"kernel"` // the kernel's own, as Profile.Counters, over the same slices
	NICs   []NIC                        `json:"nics"`
	Caches map[string]count.CacheCounts `json:"slab_caches,omitempty"`
	Agree  []Agreement                  `json:"agreement"`
}

// NIC is what one NIC, or the sockets of one namespace (NIC 0), did.
type NIC struct {
	Netns uint32 `json:"network_namespace"`
	Index uint32 `json:"index"`
	Name  string `json:"name,omitempty"`
	count.NICCounts
}

// Agreement is a count beside the kernel's own over the same slices.
type Agreement struct {
	What    string `json:"what"`
	Counted uint64 `json:"counted"`
	Kernel  uint64 `json:"kernel"`
	// Slack is by how much the kernel's count may be off either way, as it went on counting
	// while the two were read.
	Slack  uint64 `json:"kernel_plus_minus"`
	Source string `json:"source"` // the kernel's file and field
}

// Sampling is the pass of samples.
type Sampling struct {
	Frequency int    `json:"frequency_hertz,omitempty"` // per CPU
	Period    uint64 `json:"period,omitempty"`          // events a sample, of samples by an event
	Samples   int    `json:"samples"`                   // all but idle
	Kernel    int    `json:"kernel_samples"`
	Idle      int    `json:"idle_samples"` // left out
	Lost      uint64 `json:"lost_samples"`
	Throttled uint64 `json:"throttled"`
	Skid      int    `json:"skid_samples"`  // of Kernel: the leaf turned interrupts on
	Other     int    `json:"other_samples"` // of Kernel: no rule knew a function
	Bytes     uint64 `json:"ip_bytes_received"`
	// CPU is the CPUs' exact time by class over the slices.
	CPU       CPUTime  `json:"cpu"`
	Functions []string `json:"functions"`
	Stacks    []Stack  `json:"stacks"`
}

// EventSampling is samples by a hardware event: each stands for Period events. Its CPU
// time is empty.
type EventSampling struct {
	Event   pmu.Event `json:"event"`
	Seconds float64   `json:"seconds"`
	Sampling
}

// CPUTime is CPU time summed over slices.
type CPUTime struct {
	Source string `json:"source"`
	Exact  bool   `json:"exact"`
	// Closure is the sum over all classes as a share of wall time: 1 if nothing is missed.
	Closure float64         `json:"closure"`
	PerCPU  []trial.CPUTime `json:"per_cpu"`
}

// Stack is a stack with its weight.
type Stack struct {
	Count   int           `json:"count"`
	CPU     int           `json:"cpu"`
	Command string        `json:"command"` // of the process; "idle" is the idle task
	Stage   stage.Stage   `json:"stage"`
	Context stage.Context `json:"context"`
	// Frames are indices into Functions from leaf to root, user frames after kernel
	// frames. User is how many of them, at the end, are user frames.
	Frames []int `json:"frames"`
	User   int   `json:"user_frames,omitempty"`
	Skid   bool  `json:"skid,omitempty"`
}

func limits(what string, missing []attach.Missing) (out []Limit) {
	for _, m := range missing {
		out = append(out, Limit{What: what + ": " + m.Tracepoint, Why: m.Reason})
	}
	return out
}
