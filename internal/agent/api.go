// Package agent puts hosts to work. An agent is a process on a host, real or
// in a namespace; a controller speaks to it over one control connection. In a session it
// configures NICs and CPUs, runs one end of the load, measures the window and, when the session ends,
// for whatever reason, puts everything back and ends what it started. One session at a time.
package agent

import (
	"encoding/json"
	"time"

	"github.com/stackmeter/stackmeter/internal/hist"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Protocol is the version of the control protocol. Both sides must speak the
// same one.
const Protocol = 1

// Hello is what an agent says of itself and its host.
type Hello struct {
	Protocol int             `json:"protocol"`
	PID      int             `json:"pid"`
	CPUs     []int           `json:"cpus"`           // online and allowed to this process
	Host     json.RawMessage `json:"host"`           // facts, see package host
	Lost     []Limit         `json:"lost,omitempty"` // what this host cannot do, and why
}

// helloParams are the params of the call "hello".
type helloParams struct {
	Measures bool   `json:"measures"`      // the controller will measure CPU time here
	Run      string `json:"run,omitempty"` // what the controller calls its run; others who want the agent are told
}

// Limit is something that a host cannot do.
type Limit struct {
	What string `json:"what"` // "cpu-hotplug", "irq-affinity", "cpu-time-bpf", ...
	Why  string `json:"why"`
	Mend string `json:"mend,omitempty"`
}

// NICSettings is how a NIC is to be. Zero values leave a setting as found.
type NICSettings struct {
	Name     string          `json:"name"`
	MTU      int             `json:"mtu,omitempty"`
	Features map[string]bool `json:"features,omitempty"` // gro, tso, gso, ...: see package knob
	Threaded bool            `json:"threaded,omitempty"` // receive work in kernel threads, one per queue, where the NIC has no interrupt to steer
	// Tell names what is to be read back although it is left as found: mtu, or a feature.
	Tell []string `json:"tell,omitempty"`
}

// Configure is the settings of a host for a trial. CPUs, where not nil, are the
// ones in use; the others are taken offline, or avoided where they can't be.
type Configure struct {
	CPUs []int         `json:"cpus,omitempty"`
	NICs []NICSettings `json:"nics,omitempty"`
	Tune []Tuning      `json:"tune,omitempty"` // of these NICs and of the machine; set after the rest
	Wire *wire.Ref     `json:"wire,omitempty"` // where NICs of the rig wire are
}

// Configured is what is in force, read back.
type Configured struct {
	Knobs    []trial.Knob    `json:"knobs"`
	Warnings []trial.Warning `json:"warnings,omitempty"`
	// Confine, where not nil, is the CPUs to which [Place] must confine what is not
	// pinned, because the others could not be taken offline.
	Confine []int `json:"confine,omitempty"`
}

// Prepared is the load as it stands ready.
type Prepared struct {
	Addresses map[int]string `json:"addresses,omitempty"` // of a server: where clients of each spec of flows connect to, by its ID
	PIDs      []int          `json:"pids"`                // worker processes
	// PacedBitsPerSecond is what the agent lets the senders send together, 0 where it
	// sets no bound.
	PacedBitsPerSecond float64 `json:"paced_bits_per_second,omitempty"`
}

// Connect tells clients where to; servers get no address.
type Connect struct {
	To map[int]string `json:"to,omitempty"` // by the ID of the spec of flows
}

// Start is when the load begins.
type Start struct {
	At int64 `json:"at_nanoseconds,omitempty"` // of the host's CLOCK_MONOTONIC; 0: at once
}

// Await is how long to wait for all flows of a load that has begun to carry payload.
type Await struct {
	Timeout time.Duration `json:"timeout_nanoseconds"`
}

// Carrying says that all flows carry payload.
type Carrying struct {
	// First and Last are when the first and the last flow took its first turn, by the host's
	// CLOCK_MONOTONIC, nanoseconds.
	First int64 `json:"first_nanoseconds"`
	Last  int64 `json:"last_nanoseconds"`
}

// Place fixes where work runs, once the flows are connected.
type Place struct {
	IRQ     map[string]int `json:"irq,omitempty"`     // NIC -> CPU of its receive work
	Scatter *Scatter       `json:"scatter,omitempty"` // what is moved about
	Confine []int          `json:"confine,omitempty"` // see [Configured]
}

// Scatter moves things to a random CPU of a set, each on its own, every period.
type Scatter struct {
	CPUs   []int         `json:"cpus"`
	Period time.Duration `json:"period_nanoseconds"`
	Flows  bool          `json:"flows"` // the load's threads that are not pinned
	NICs   []string      `json:"nics"`  // receive work of these NICs
}

// Placed is what does the NICs' receive work.
type Placed struct {
	NICWork []int `json:"nic_work,omitempty"` // processes (kernel threads)
}

// Confirmed is what is in force while the load runs, read back.
type Confirmed struct {
	Knobs []trial.Knob `json:"knobs"`
}

// Measure asks for one window.
type Measure struct {
	Window load.Window      `json:"window"`
	Groups map[string][]int `json:"groups"` // processes by group (see trial.CPU)
	CPU    bool             `json:"cpu"`    // measure CPU time
	// Quiet leaves out what each flow carried; the totals are always told.
	Quiet bool `json:"quiet,omitempty"`
	Tell  bool `json:"tell,omitempty"` // how each interval went, as it ends
}

// Interval is how a window goes: what the host's flows carried in one interval of it.
type Interval struct {
	load.Interval
	// Utilization is the share (0..1) of the host's CPUs that was not halted in the interval,
	// where CPU time is measured.
	Utilization float64 `json:"utilization,omitempty"`
}

// Measured is what one host saw in the window.
type Measured struct {
	Started  time.Time     `json:"started"`
	Seconds  float64       `json:"seconds"`
	Opened   int64         `json:"opened_nanoseconds"`   // when the first count was read, by the host's CLOCK_MONOTONIC
	Closed   int64         `json:"closed_nanoseconds"`   // when the last one was
	Lateness time.Duration `json:"lateness_nanoseconds"` // of the worst sample
	Total    load.Tally    `json:"total"`
	Flows    []load.Count  `json:"flows,omitempty"`
	Latency  *hist.Hist    `json:"latency,omitempty"` // where it is kept
	// Ended says which flow ended inside the window and why; the counts are then less than
	// a window's.
	Ended    string            `json:"ended,omitempty"`
	CPU      trial.CPU         `json:"cpu"`
	Counters map[string]uint64 `json:"counters,omitempty"`
	Knobs    []trial.Knob      `json:"knobs,omitempty"`
	Warnings []trial.Warning   `json:"warnings,omitempty"`
}

// Stopped is how the flows ended; of more than 16384, how some of them did, evenly spread.
type Stopped struct {
	Ends   []load.End       `json:"ends"`
	Stacks []load.StackInfo `json:"stacks,omitempty"` // of engine "ustack"
}

// none is the params or result of a call that has none.
type none struct{}
