package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Role is the end of a flow that a worker plays.
type Role string

// Server listens; Client connects. Which of them sends is the workload's affair.
const (
	Server Role = "server"
	Client Role = "client"
)

// Model is how the flows of one host are spread over processes and threads.
type Model string

const (
	// Process gives each NIC a worker process of its own, as the paper does, and each
	// flow a thread that blocks.
	Process Model = "process"
	// Thread runs each flow as a thread, which blocks, of one worker process.
	Thread Model = "thread"
	// Epoll runs all flows on a few threads, each with a poller, of one worker process, or of
	// more where one may not have so many open files.
	Epoll Model = "epoll"
)

// Limits of one spec; they bound what a caller can make a host do.
const (
	MaxFlows        = 1 << 17
	MaxThreads      = 1024 // threads of one host's load
	MaxMessageBytes = 64 << 20
	MaxBurst        = 1024
	MaxDuration     = time.Hour
)

// Spec is one host's part of a run.
type Spec struct {
	Role     Role          `json:"role"`
	Workload string        `json:"workload"` // see [Workloads]
	Engine   string        `json:"engine"`   // see package engines
	Model    Model         `json:"model"`
	Threads  int           `json:"threads,omitempty"` // model "epoll": threads, 0: one a CPU of the process
	CPUs     []int         `json:"cpus,omitempty"`    // thread i of a worker is pinned to CPUs[i mod len]; empty: where the flows say
	Flows    []FlowSpec    `json:"flows"`
	Stack    *StackSpec    `json:"stack,omitempty"`      // of engine "ustack"
	Lifetime time.Duration `json:"lifetime_nanoseconds"` // workers end themselves after this, whatever else happens
}

// Transports by the names that [FlowSpec.Transport] takes.
const (
	TCP   = "tcp"
	UDP   = "udp"
	Unix  = "unix" // stream sockets by path: both ends on one machine
	VSock = "vsock"
	MPTCP = "mptcp"
)

// How a sender hands its bytes to the kernel, and a receiver takes them.
const (
	Copy     = "copy"     // send(2), recv(2): the default
	More     = "more"     // sender: send(2) with MSG_MORE, which leaves only full segments
	Sendfile = "sendfile" // sender: sendfile(2) from memory
	ZeroCopy = "zerocopy" // sender: MSG_ZEROCOPY; receiver: TCP_ZEROCOPY_RECEIVE
	Truncate = "truncate" // receiver: MSG_TRUNC, the kernel drops the bytes
)

// FlowSpec is one end of some flows that are alike. Addresses are IPv4 or IPv6.
type FlowSpec struct {
	ID    int `json:"id"`              // of the first flow; the others follow
	Count int `json:"count,omitempty"` // of flows, 0: one
	NIC   int `json:"nic"`             // index; flows of one NIC share a process in model "process"

	Transport string `json:"transport,omitempty"` // empty: "tcp"
	// Local is where the server listens (port 0: any) or what the client binds
	// to (may be invalid: any).
	Local netip.AddrPort `json:"local,omitzero"`
	// Token opens every data connection: the client's first 16 bytes, followed by the
	// flow's number. The server closes any connection that opens otherwise, so a stranger
	// is never counted.
	Token Token `json:"token"`

	MessageBytes  int     `json:"message_bytes"`             // stream: of one send; rr, crr: of a request
	ResponseBytes int     `json:"response_bytes,omitempty"`  // rr, crr; 0: as the request
	Burst         int     `json:"burst,omitempty"`           // rr: requests under way at a time, 0: one
	Rate          float64 `json:"rate_per_second,omitempty"` // of one flow: messages or transactions begun a second, 0: as fast as they go
	SendMethod    string  `json:"send_method,omitempty"`     // empty: "copy"
	ReceiveMethod string  `json:"receive_method,omitempty"`  // empty: "copy"
	SegmentBytes  int     `json:"segment_bytes,omitempty"`   // udp: payload of a datagram where a message is several (UDP_SEGMENT)
	GRO           bool    `json:"gro,omitempty"`             // udp: receive several datagrams a call (UDP_GRO)
	Batch         int     `json:"batch,omitempty"`           // udp: messages a call (sendmmsg, recvmmsg), 0: one

	SendBufferBytes    int    `json:"send_buffer_bytes"`    // SO_SNDBUF as asked, 0: the kernel's auto-tuning
	ReceiveBufferBytes int    `json:"receive_buffer_bytes"` // SO_RCVBUF as asked, 0: the kernel's auto-tuning
	NoDelay            bool   `json:"nodelay"`
	Congestion         string `json:"congestion,omitempty"` // empty: as found
	TOS                int    `json:"tos,omitempty"`        // IP_TOS, IPV6_TCLASS
	Priority           int    `json:"priority,omitempty"`   // SO_PRIORITY
	Device             string `json:"device,omitempty"`     // SO_BINDTODEVICE
	// LowWaterBytes wakes a receiver that waits when so much has arrived (SO_RCVLOWAT; a
	// quarter of a receive buffer of fixed size where that is less). With a message's size the
	// receiver makes one system call a message and is woken once a message; 0: woken for
	// whatever has arrived.
	LowWaterBytes int `json:"low_water_bytes,omitempty"`
	// PacingBytesPerSecond bounds the sender (SO_MAX_PACING_RATE); 0: not.
	PacingBytesPerSecond uint64 `json:"pacing_bytes_per_second,omitempty"`
	CPU                  int    `json:"cpu"` // the flow's thread is pinned there; -1: left alone, as in model "epoll". Spec.CPUs comes first

	// SinglePort makes the server take data connections that come to the agent's own
	// port, handed over by the agent; the client connects there.
	SinglePort bool `json:"single_port,omitempty"`
}

// Flows is how many flows the spec stands for.
func (f *FlowSpec) Flows() int { return max(1, f.Count) }

// Response is the size of a response, in bytes.
func (f *FlowSpec) Response() int {
	if f.ResponseBytes == 0 {
		return f.MessageBytes
	}
	return f.ResponseBytes
}

// FlowCount is how many flows the spec has in all.
func (s *Spec) FlowCount() int {
	n := 0
	for i := range s.Flows {
		n += s.Flows[i].Flows()
	}
	return n
}

// Sends reports whether this end sends payload.
func (s *Spec) Sends() bool {
	switch s.Workload {
	case "stream":
		return s.Role == Client
	case "maerts":
		return s.Role == Server
	}
	return true
}

// Validate reports the first field that is out of range, by its JSON name. Whether
// the engine knows a transport, an option or a method is the engine's to say.
func (s *Spec) Validate() error {
	flows := s.FlowCount()
	switch {
	case s.Role != Server && s.Role != Client:
		return fmt.Errorf("role %q: want %q or %q", s.Role, Server, Client)
	case s.Model != Process && s.Model != Thread && s.Model != Epoll:
		return fmt.Errorf("model %q: want %q, %q or %q", s.Model, Process, Thread, Epoll)
	case flows < 1 || flows > MaxFlows:
		return fmt.Errorf("flows: %d, want 1 to %d", flows, MaxFlows)
	case s.Model != Epoll && flows > MaxThreads:
		return fmt.Errorf("flows: %d with a thread each, want at most %d: choose the model %q", flows, MaxThreads, Epoll)
	case s.Threads < 0 || s.Threads > MaxThreads:
		return fmt.Errorf("threads: %d, want 0 to %d", s.Threads, MaxThreads)
	case slices.ContainsFunc(s.CPUs, func(cpu int) bool { return cpu < 0 || cpu > 1<<16 }):
		return fmt.Errorf("cpus: %v, want numbers of CPUs from 0", s.CPUs)
	case s.Lifetime <= 0 || s.Lifetime > MaxDuration:
		return fmt.Errorf("lifetime_nanoseconds: %v, want above 0 and at most %v", s.Lifetime, MaxDuration)
	}
	if _, ok := Workloads[s.Workload]; !ok {
		return fmt.Errorf("workload %q: unknown, want one of %v", s.Workload, names(Workloads))
	}
	for i := range s.Flows {
		f := &s.Flows[i]
		if err := errors.Join(f.validate(), f.fits(s.Workload)); err != nil {
			return fmt.Errorf("flows[%d].%w", i, err)
		}
	}
	return s.stack()
}

func (f *FlowSpec) validate() error {
	const maxBuffer = 1 << 30
	for _, r := range []struct {
		name      string
		v, lo, hi int
	}{
		{"id", f.ID, 0, MaxFlows},
		{"count", f.Count, 0, MaxFlows},
		{"message_bytes", f.MessageBytes, 1, MaxMessageBytes},
		{"response_bytes", f.ResponseBytes, 0, MaxMessageBytes},
		{"burst", f.Burst, 0, MaxBurst},
		{"segment_bytes", f.SegmentBytes, 0, 65507},
		{"batch", f.Batch, 0, MaxBurst},
		{"low_water_bytes", f.LowWaterBytes, 0, MaxMessageBytes},
		{"send_buffer_bytes", f.SendBufferBytes, 0, maxBuffer},
		{"receive_buffer_bytes", f.ReceiveBufferBytes, 0, maxBuffer},
		{"tos", f.TOS, 0, 255},
		{"priority", f.Priority, 0, 7},
		{"cpu", f.CPU, -1, 1 << 16},
	} {
		if r.v < r.lo || r.v > r.hi {
			return fmt.Errorf("%s: %d, want %d to %d", r.name, r.v, r.lo, r.hi)
		}
	}
	switch {
	case !(f.Rate == 0 || f.Rate >= 0.001 && f.Rate <= 1e8):
		return fmt.Errorf("rate_per_second: %g, want 0 (as fast as it goes) or 0.001 to 1e8", f.Rate)
	case !slices.Contains([]string{"", TCP, UDP, Unix, VSock, MPTCP}, f.Transport):
		return fmt.Errorf("transport: %q, want %q, %q, %q, %q or %q", f.Transport, TCP, UDP, Unix, VSock, MPTCP)
	case !slices.Contains([]string{"", Copy, More, Sendfile, ZeroCopy}, f.SendMethod):
		return fmt.Errorf("send_method: %q, want %q, %q, %q or %q", f.SendMethod, Copy, More, Sendfile, ZeroCopy)
	case !slices.Contains([]string{"", Copy, Truncate, ZeroCopy}, f.ReceiveMethod):
		return fmt.Errorf("receive_method: %q, want %q, %q or %q", f.ReceiveMethod, Copy, Truncate, ZeroCopy)
	case len(f.Device) > 15:
		return fmt.Errorf("device: %q is longer than the name of a NIC can be", f.Device)
	}
	return nil
}

// fits reports a field that means nothing to the workload.
func (f *FlowSpec) fits(workload string) error {
	answers := workload == "rr" || workload == "crr"
	switch udp := f.Transport == UDP; {
	case udp && answers && (f.SegmentBytes > 0 || f.GRO || f.Batch > 1):
		return errors.New("segment_bytes, gro, batch: for streams of udp alone, a request of rr is a datagram")
	case udp && workload == "crr":
		return errors.New("transport: udp has no connections for crr to make: choose rr")
	case !udp && (f.SegmentBytes > 0 || f.GRO || f.Batch > 1):
		return errors.New("segment_bytes, gro, batch: for udp alone")
	case udp && f.SegmentBytes == 0 && max(f.MessageBytes, f.Response()) > 65507:
		return fmt.Errorf("message_bytes: %d, a datagram holds at most 65507", max(f.MessageBytes, f.Response()))
	case udp && !answers && f.datagram() < DatagramHeader:
		return fmt.Errorf("message_bytes: %d, a datagram of a udp stream holds at least %d (its number and time)", f.datagram(), DatagramHeader)
	case answers && (f.SendMethod != "" && f.SendMethod != Copy || f.ReceiveMethod != "" && f.ReceiveMethod != Copy):
		return fmt.Errorf("send_method, receive_method: %s copies", workload)
	case !answers && f.Burst > 1:
		return errors.New("burst: for rr alone")
	case workload == "crr" && f.Burst > 1:
		return errors.New("burst: for rr alone, a connection of crr carries one request")
	case udp && answers:
		return f.fitsNumbers()
	case workload == "crr" && f.SinglePort:
		return errors.New("single_port: crr makes its connections to a port of its own")
	}
	return nil
}

// datagram is the payload of one datagram of a udp flow.
func (f *FlowSpec) datagram() int {
	if f.SegmentBytes > 0 {
		return min(f.SegmentBytes, f.MessageBytes)
	}
	return f.MessageBytes
}
