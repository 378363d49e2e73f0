package meter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
)

// Host is a sender or a receiver.
type Host struct {
	// Agent is where `stackmeter serve` runs, "HOST:PORT"; empty: this machine, by an agent
	// that is started for the run.
	Agent string `json:"agent,omitempty"`
	// NIC is whose address the flows use; empty: a sender's routes decide, a receiver is
	// reached at the address at which its agent is.
	NIC string `json:"nic,omitempty"`
}

// Model is how flows are spread over processes and threads.
type Model string

const (
	// Auto is a thread for each flow where they are few, and Epoll where they are more than
	// the CPUs, or where the number of threads is given.
	Auto    Model = ""
	Process Model = "process" // a process for each sender–receiver pair, in it a thread for each flow
	Thread  Model = "thread"  // a thread for each flow, which blocks
	Epoll   Model = "epoll"   // some threads, each with a poller and many flows
)

// Config is what to run. The zero value of a field is its default.
type Config struct {
	// Name of the run: agents tell it to others who want them meanwhile.
	Name string `json:"name,omitempty"`
	// Workload is TRANSPORT_PATTERN: see [Workloads].
	Workload  string `json:"workload"`
	Senders   []Host `json:"senders,omitempty"`
	Receivers []Host `json:"receivers,omitempty"`
	// Mesh lets every sender send to every receiver; otherwise they are paired in turn.
	Mesh bool `json:"mesh,omitempty"`
	// RigPairs is how many pairs of hosts the built-in rig has, where no sender and no
	// receiver is named; 0: one.
	RigPairs int `json:"rig_pairs,omitempty"`

	Flows        int     `json:"flows,omitempty"` // of each pair; 0: one
	Model        Model   `json:"model,omitempty"`
	Threads      int     `json:"threads,omitempty"`       // of each host in model epoll; 0: one a CPU
	SenderCPUs   []int   `json:"sender_cpus,omitempty"`   // threads are pinned to these in turn; empty: not
	ReceiverCPUs []int   `json:"receiver_cpus,omitempty"` // likewise
	Engine       string  `json:"engine,omitempty"`        // "kernel" (default), "ustack" (a TCP/IP stack in user space), or "null", which carries nothing and shows the tool's own ceiling
	Stack                // of engine "ustack"
	MessageBytes int     `json:"message_bytes,omitempty"` // of one send, or of a request; 0: 64 KiB, 1 byte
	Response     int     `json:"response_bytes,omitempty"`
	Burst        int     `json:"burst,omitempty"`           // rr: requests under way at a time on a flow
	Rate         float64 `json:"rate_per_second,omitempty"` // of a flow: messages or transactions begun, at their times whatever the answers do; 0: as fast as they go

	SendMethod    string `json:"send_method,omitempty"`    // "copy" (default), "more" (MSG_MORE), "sendfile", "zerocopy"
	ReceiveMethod string `json:"receive_method,omitempty"` // "copy" (default), "truncate", "zerocopy"
	SegmentBytes  int    `json:"segment_bytes,omitempty"`  // udp: datagrams of one message (UDP_SEGMENT)
	GRO           bool   `json:"gro,omitempty"`            // udp: several datagrams a receive call (UDP_GRO)
	Batch         int    `json:"batch,omitempty"`          // udp: messages a system call
	// AnyReceive lets a receive call return what has arrived; otherwise a stream's receiver
	// waits for whole messages (SO_RCVLOWAT).
	AnyReceive bool `json:"any_receive,omitempty"`
	// ReceiveLowWater has it wait for so many bytes instead; 0: a message.
	ReceiveLowWater int `json:"receive_low_water_bytes,omitempty"`

	SendBufferBytes    int    `json:"send_buffer_bytes,omitempty"`
	ReceiveBufferBytes int    `json:"receive_buffer_bytes,omitempty"`
	NoDelay            bool   `json:"nodelay,omitempty"`
	Congestion         string `json:"congestion,omitempty"`
	PacingBitsPerSec   uint64 `json:"pacing_bits_per_second,omitempty"` // of a flow, by the kernel (SO_MAX_PACING_RATE)
	TOS                int    `json:"tos,omitempty"`
	Priority           int    `json:"priority,omitempty"`
	BindDevice         bool   `json:"bind_device,omitempty"` // SO_BINDTODEVICE to the hosts' NICs
	SinglePort         bool   `json:"single_port,omitempty"` // data connections go to the agent's own port

	RampUp   time.Duration `json:"ramp_up_nanoseconds,omitempty"`  // before the first window; 0: half a second
	Duration time.Duration `json:"duration_nanoseconds,omitempty"` // of a window; 0: 10 s
	Interval time.Duration `json:"interval_nanoseconds,omitempty"` // of samples; 0: 1 s
	// NoCPUTime leaves CPU time unmeasured: following every task and softirq costs up to a few percent of
	// the CPUs at hundreds of thousands of packets a second (warning probe-cost).
	NoCPUTime bool `json:"no_cpu_time,omitempty"`
	// Confidence, where above 0, repeats the window until the throughput (or the
	// transactions) of the windows is known this surely (0.95) to within Within (0.05: ±5 %), or
	// until MaxDuration.
	Confidence  float64       `json:"confidence,omitempty"`
	Within      float64       `json:"within,omitempty"`
	MaxDuration time.Duration `json:"max_duration_nanoseconds,omitempty"`

	// Credentials open the agents; not needed where none is named.
	Credentials agent.Credentials `json:"-"`
	// Wait is how long to wait for an agent that serves somebody else; 0: not.
	Wait time.Duration `json:"wait_nanoseconds,omitempty"`
	// Watch, where not nil, is told how the run goes; see [Event]. Calls never overlap and
	// all come before Run returns: phases and windows from the goroutine that called Run, intervals from those
	// that read the agents. A slow Watch delays that reading, and
	// an agent that is not read for ten seconds and an interval counts as lost.
	Watch func(Event) `json:"-"`
}

// Transports and patterns of which workloads are made.
var (
	transports = []string{load.TCP, load.UDP, load.Unix, load.VSock, load.MPTCP}
	patterns   = []string{"stream", "maerts", "bidir", "rr", "crr"}
)

// Workloads are the names that [Config.Workload] takes: tcp_stream, udp_rr, ...
func Workloads() []string {
	var out []string
	for _, t := range transports {
		for _, p := range patterns {
			if t != load.UDP || p != "crr" {
				out = append(out, t+"_"+p)
			}
		}
	}
	return out
}

// Pattern is what the two ends of a flow do: "stream", "maerts", "bidir", "rr" or "crr".
func (c *Config) Pattern() string {
	_, p, _ := strings.Cut(c.Workload, "_")
	return p
}

// Transport is what carries the flows: "tcp", "udp", "unix", "vsock" or "mptcp".
func (c *Config) Transport() string {
	t, _, _ := strings.Cut(c.Workload, "_")
	return t
}

// Answers reports whether the workload is one of requests and responses.
func (c *Config) Answers() bool { return c.Pattern() == "rr" || c.Pattern() == "crr" }

// maxPairs bounds the built-in rig.
const maxPairs = 64

// Normalize fills in the defaults and reports the first field that can't be meant, by its JSON
// name. Run does so itself.
func (c *Config) Normalize() error {
	c.Workload = strings.ToLower(c.Workload)
	if !slices.Contains(Workloads(), c.Workload) {
		return fmt.Errorf("workload: %q is unknown; known are %s", c.Workload, strings.Join(Workloads(), ", "))
	}
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.Flows, 1)
	if c.Answers() {
		set(&c.MessageBytes, 1)
		set(&c.Response, c.MessageBytes)
	} else {
		set(&c.MessageBytes, c.messageDefault())
	}
	if len(c.Senders)+len(c.Receivers) == 0 {
		set(&c.RigPairs, 1)
	}
	if c.Engine == "" {
		c.Engine = "kernel"
	}
	c.normalizeStack()
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&c.RampUp, 500 * time.Millisecond}, {&c.Duration, 10 * time.Second}, {&c.Interval, time.Second}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	c.Interval = min(c.Interval, c.Duration)
	if c.Confidence > 0 {
		if c.Within == 0 {
			c.Within = 0.05
		}
		if c.MaxDuration == 0 {
			c.MaxDuration = 20 * c.Duration
		}
	}
	return c.check()
}

// messageDefault is the size of a stream's messages: a datagram that fits an Ethernet
// frame, or what fills TCP's pipe with few calls.
func (c *Config) messageDefault() int {
	switch {
	case c.Transport() != load.UDP:
		return 64 << 10
	case c.SegmentBytes > 0:
		return c.SegmentBytes * max(1, min(44, 65507/c.SegmentBytes))
	}
	return 1448
}

func (c *Config) check() error {
	hosts := len(c.Senders) + len(c.Receivers)
	switch {
	case c.Flows < 1 || c.Flows > load.MaxFlows:
		return fmt.Errorf("flows: %d, want 1 to %d", c.Flows, load.MaxFlows)
	case hosts > 0 && (len(c.Senders) == 0 || len(c.Receivers) == 0):
		return errors.New("senders, receivers: name at least one of each, or none for the built-in rig")
	case hosts > 0 && c.RigPairs > 0:
		return errors.New("rig_pairs: for the built-in rig, when no sender and no receiver is named")
	case c.RigPairs > maxPairs:
		return fmt.Errorf("rig_pairs: %d, want 1 to %d", c.RigPairs, maxPairs)
	case c.RampUp < 0 || c.RampUp > load.MaxDuration:
		return fmt.Errorf("ramp_up_nanoseconds: %v, want 0 to %v", c.RampUp, load.MaxDuration)
	case c.Duration < 10*time.Millisecond || c.Duration > load.MaxDuration-2*time.Minute:
		return fmt.Errorf("duration_nanoseconds: %v, want 10ms to %v", c.Duration, load.MaxDuration-2*time.Minute)
	case c.Interval < time.Millisecond:
		return fmt.Errorf("interval_nanoseconds: %v, want at least 1ms", c.Interval)
	case c.Confidence < 0 || c.Confidence > 0.999 || c.Confidence > 0 && c.Confidence < 0.5:
		return fmt.Errorf("confidence: %g, want 0.5 to 0.999, as 0.95", c.Confidence)
	case c.Within < 0 || c.Within > 0.5 || c.Within > 0 && c.Within < 0.001:
		return fmt.Errorf("within: %g, want 0.001 to 0.5, as 0.05", c.Within)
	case c.Confidence == 0 && (c.Within != 0 || c.MaxDuration != 0):
		return errors.New("within, max_duration_nanoseconds: need confidence")
	case c.MaxDuration < 0 || c.MaxDuration > load.MaxDuration-2*time.Minute:
		return fmt.Errorf("max_duration_nanoseconds: %v, want at most %v", c.MaxDuration, load.MaxDuration-2*time.Minute)
	case c.Mesh && c.RigPairs > 0:
		return errors.New("mesh: the pairs of the built-in rig have no path to each other: name senders and receivers")
	case c.Threads > 0 && (c.Model == Thread || c.Model == Process):
		return fmt.Errorf("threads: %d, but the model %q has a thread for each flow: choose %q", c.Threads, c.Model, Epoll)
	case c.Response != 0 && !c.Answers():
		return fmt.Errorf("response_bytes: %s has no responses: for rr and crr alone", c.Workload)
	case c.PacingBitsPerSec > 0 && c.PacingBitsPerSec < 8:
		return fmt.Errorf("pacing_bits_per_second: %d, want at least 8 (the kernel paces whole bytes)", c.PacingBitsPerSec)
	case c.BindDevice && slices.ContainsFunc(slices.Concat(c.Senders, c.Receivers), func(h Host) bool { return h.NIC == "" }):
		return errors.New("bind_device: name the NIC of every sender and receiver")
	case c.SinglePort && c.Transport() == load.Unix:
		return errors.New("single_port: sockets of transport unix have no port")
	}
	if err := errors.Join(c.inForce(), c.checkStack()); err != nil {
		return err
	}
	for _, role := range []load.Role{load.Client, load.Server} {
		spec := load.Spec{
			Role: role, Workload: c.Pattern(), Engine: c.engine(role), Stack: c.sampleStack(role), Model: c.model(1), Threads: c.Threads, CPUs: slices.Concat(c.SenderCPUs, c.ReceiverCPUs),
			Lifetime: time.Minute, Flows: []load.FlowSpec{c.flow(role, 0)},
		}
		if err := spec.Validate(); err != nil {
			return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "flows[0]."))
		}
	}
	return nil
}

// inForce reports an option that the transport or the pattern would ignore.
func (c *Config) inForce() error {
	t := c.Transport()
	overTCP, overIP := t == load.TCP || t == load.MPTCP, t != load.Unix && t != load.VSock
	for _, o := range []struct {
		name   string
		set    bool
		obeyed bool
		by     string
	}{
		{"congestion", c.Congestion != "", overTCP, "tcp and mptcp"},
		{"nodelay", c.NoDelay, overTCP, "tcp and mptcp"},
		{"tos", c.TOS != 0, overIP, "tcp, mptcp and udp"},
		{"pacing_bits_per_second", c.PacingBitsPerSec != 0, overIP, "tcp, mptcp and udp"},
		{"bind_device", c.BindDevice, overIP, "tcp, mptcp and udp"},
		{"any_receive", c.AnyReceive, t != load.UDP, "streams of bytes"},
		{"receive_low_water_bytes", c.ReceiveLowWater != 0, overTCP, "tcp and mptcp"},
	} {
		if o.set && !o.obeyed {
			return fmt.Errorf("%s: transport %s has no such option: for %s alone", o.name, t, o.by)
		}
	}
	if c.AnyReceive && c.Answers() {
		return fmt.Errorf("any_receive: %s waits for whole requests and responses: for stream, maerts and bidir alone", c.Workload)
	}
	if c.ReceiveLowWater != 0 && (c.AnyReceive || c.Answers() || c.Pattern() == "bidir" || c.ReceiveMethod == load.ZeroCopy) {
		return errors.New("receive_low_water_bytes: for stream and maerts alone, not with any_receive or the receive method zerocopy")
	}
	return nil
}

// model is how the flows run, where the hosts have so many CPUs.
func (c *Config) model(cpus int) load.Model {
	switch {
	case c.Model != Auto:
		return load.Model(c.Model)
	case c.Threads > 0 || c.Flows > max(cpus, 1):
		return load.Epoll
	}
	return load.Thread
}

// clientSends reports whether the end that connects is the sender: in maerts it is the
// receiver.
func (c *Config) clientSends() bool { return c.Pattern() != "maerts" }

// flow is the end of the flows of a pair that plays a role.
func (c *Config) flow(role load.Role, id int) load.FlowSpec {
	f := load.FlowSpec{
		ID: id, Count: c.Flows, Transport: c.Transport(), CPU: -1,
		MessageBytes: c.MessageBytes, ResponseBytes: c.Response, Burst: c.Burst,
		SegmentBytes: c.SegmentBytes, GRO: c.GRO, Batch: c.Batch,
		SendBufferBytes: c.SendBufferBytes, ReceiveBufferBytes: c.ReceiveBufferBytes,
		NoDelay: c.NoDelay, Congestion: c.Congestion, TOS: c.TOS, Priority: c.Priority,
		PacingBytesPerSecond: c.PacingBitsPerSec / 8, SinglePort: c.SinglePort,
		SendMethod: c.SendMethod, ReceiveMethod: c.ReceiveMethod,
	}
	stream := c.Transport() != load.UDP && !c.Answers() && c.Pattern() != "bidir"
	if stream && !c.AnyReceive && c.ReceiveMethod != load.ZeroCopy {
		f.LowWaterBytes = c.ReceiveLowWater
		if f.LowWaterBytes == 0 {
			f.LowWaterBytes = c.MessageBytes
		}
	}
	if sends := c.Pattern() == "bidir" || (role == load.Client) == c.clientSends(); sends {
		f.Rate = c.Rate
	}
	return f
}

// data is where the flows of a server's host listen.
func data(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 0) }
