// Package load makes network load and counts it, the way netperf3 does: a
// controller, flows over data connections, one process per NIC or one thread
// per flow, and byte counts taken by the receiver over one window that is the
// same for every flow.
//
// A [Workload] is what one end of a flow does; an [Engine] carries its bytes.
// Both ends run in worker processes of their own ([Pool] starts them, [WorkerMain]
// is their main function), because the hot loops make blocking raw system calls:
// these hold a processor of the Go scheduler and would stall the collector of a
// process that does anything else. Workers run with the collector and
// asynchronous preemption off, allocate nothing in the loop and make exactly one
// system call a message.
//
// Counts live in memory shared between workers and the process that started
// them ([Table]), so sampling costs the workers nothing: no thread of theirs wakes
// at the window's edges.
package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Role is the end of a flow that a worker plays.
type Role string

// Receive listens and counts; Send connects and sends.
const (
	Receive Role = "receive"
	Send    Role = "send"
)

// Model is how the flows of one host are spread over processes.
type Model string

const (
	// Process gives each NIC a worker process of its own, as the paper does.
	Process Model = "process"
	// Thread runs all flows as threads of one worker process.
	Thread Model = "thread"
)

// Limits of one spec; they bound what a caller can make a host do.
const (
	MaxFlows        = 4096
	MaxMessageBytes = 64 << 20
	MaxDuration     = time.Hour
)

// Spec is one host's part of a run.
type Spec struct {
	Role     Role          `json:"role"`
	Workload string        `json:"workload"` // see [Workloads]
	Engine   string        `json:"engine"`   // see [Engines]
	Model    Model         `json:"model"`
	Flows    []FlowSpec    `json:"flows"`
	Lifetime time.Duration `json:"lifetime_nanoseconds"` // workers end themselves after this, whatever else happens
}

// FlowSpec is one end of one flow. Addresses are IPv4 or IPv6.
type FlowSpec struct {
	ID  int `json:"id"`
	NIC int `json:"nic"` // index; flows of one NIC share a process in model "process"
	// Local is where the receiver listens (port 0: any) or what the sender binds
	// to (may be invalid: any). Remote is the sender's destination.
	Local  netip.AddrPort `json:"local,omitzero"`
	Remote netip.AddrPort `json:"remote,omitzero"`
	// Token opens the data connection: the sender's first 16 bytes. The receiver
	// closes any connection that opens otherwise, so a stranger is never counted.
	Token Token `json:"token"`

	MessageBytes       int    `json:"message_bytes"`
	SendBufferBytes    int    `json:"send_buffer_bytes"`    // SO_SNDBUF as asked, 0: the kernel's auto-tuning
	ReceiveBufferBytes int    `json:"receive_buffer_bytes"` // SO_RCVBUF as asked, 0: the kernel's auto-tuning
	NoDelay            bool   `json:"nodelay"`
	Congestion         string `json:"congestion,omitempty"` // empty: as found
	// WholeMessages makes each receive call wait for a whole message
	// (SO_RCVLOWAT; for a quarter of the receive buffer where that is less), so that the
	// receiver makes one system call a message and is woken once a message. Without it a
	// call returns whatever has arrived.
	WholeMessages bool `json:"whole_messages,omitempty"`
	// PacingBytesPerSecond bounds the sender (SO_MAX_PACING_RATE); 0: not.
	PacingBytesPerSecond uint64 `json:"pacing_bytes_per_second,omitempty"`
	CPU                  int    `json:"cpu"` // the flow's thread is pinned there; -1: left alone
}

// Validate reports the first field that is out of range, by its JSON name.
func (s *Spec) Validate() error {
	switch {
	case s.Role != Receive && s.Role != Send:
		return fmt.Errorf("role %q: want %q or %q", s.Role, Receive, Send)
	case s.Model != Process && s.Model != Thread:
		return fmt.Errorf("model %q: want %q or %q", s.Model, Process, Thread)
	case len(s.Flows) == 0 || len(s.Flows) > MaxFlows:
		return fmt.Errorf("flows: %d, want 1 to %d", len(s.Flows), MaxFlows)
	case s.Lifetime <= 0 || s.Lifetime > MaxDuration:
		return fmt.Errorf("lifetime_nanoseconds: %v, want above 0 and at most %v", s.Lifetime, MaxDuration)
	}
	if _, ok := Workloads[s.Workload]; !ok {
		return fmt.Errorf("workload %q: unknown, want one of %v", s.Workload, names(Workloads))
	}
	if _, ok := Engines[s.Engine]; !ok {
		return fmt.Errorf("engine %q: unknown, want one of %v", s.Engine, names(Engines))
	}
	for i := range s.Flows {
		if err := s.Flows[i].validate(); err != nil {
			return fmt.Errorf("flows[%d].%w", i, err)
		}
	}
	return nil
}

func (f *FlowSpec) validate() error {
	const maxBuffer = 1 << 30
	switch {
	case f.MessageBytes < 1 || f.MessageBytes > MaxMessageBytes:
		return fmt.Errorf("message_bytes: %d, want 1 to %d", f.MessageBytes, MaxMessageBytes)
	case f.SendBufferBytes < 0 || f.SendBufferBytes > maxBuffer:
		return fmt.Errorf("send_buffer_bytes: %d, want 0 to %d", f.SendBufferBytes, maxBuffer)
	case f.ReceiveBufferBytes < 0 || f.ReceiveBufferBytes > maxBuffer:
		return fmt.Errorf("receive_buffer_bytes: %d, want 0 to %d", f.ReceiveBufferBytes, maxBuffer)
	case f.CPU < -1:
		return errors.New("cpu: want -1 (not pinned) or a CPU number")
	}
	return nil
}
