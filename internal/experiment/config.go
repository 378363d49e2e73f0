// Package experiment runs designs: it turns factors and levels into
// configurations, puts replicates in a randomised interleaved order, runs each as a
// trial on the hosts of a rig, repeats those that strangers disturbed, and hands every
// record on. What the figures mean is for package analysis.
package experiment

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Affinity is a case of the paper's Table 1, and its control.
type Affinity string

const (
	// AffinityNone pins nothing.
	AffinityNone Affinity = "none"
	// AffinityIRQ pins each server NIC's receive work: NIC i to the i-th CPU in use.
	AffinityIRQ Affinity = "irq"
	// AffinityProcess pins the server process of NIC i to the i-th CPU in use.
	AffinityProcess Affinity = "process"
	// AffinityBoth pins both to the same CPU.
	AffinityBoth Affinity = "both"
	// AffinityOpposite pins both, to different CPUs: the control that tells the gain
	// of being pinned from the gain of being together.
	AffinityOpposite Affinity = "opposite"
)

// PinsIRQ reports whether the case fixes the CPU of the NICs' receive work.
func (a Affinity) PinsIRQ() bool {
	return a == AffinityIRQ || a == AffinityBoth || a == AffinityOpposite
}

// PinsProcess reports whether the case fixes the CPU of the server's processes.
func (a Affinity) PinsProcess() bool {
	return a == AffinityProcess || a == AffinityBoth || a == AffinityOpposite
}

// Unpinned says what happens to whatever a case does not pin.
type Unpinned string

const (
	// Scatter moves it to a random CPU in use every 10 ms, which models the schedulers
	// and the dynamic interrupt routing of 2002.
	Scatter Unpinned = "scatter"
	// AsFound leaves it to the scheduler of the running kernel.
	AsFound Unpinned = "as-found"
)

// Client says where the client's processes and its NICs' receive work run.
type Client string

const (
	ClientUnpinned Client = "unpinned" // as the factor unpinned says
	ClientAsFound  Client = "as-found" // left to the scheduler in every case
	ClientSame     Client = "same"     // on the CPU that the case gives the server's process of that NIC
	ClientOpposite Client = "opposite" // on the CPU after it
)

// Receive says what one receive call of the server returns.
type Receive string

const (
	ReceiveMessage Receive = "message" // waits for a whole message (SO_RCVLOWAT)
	ReceiveAny     Receive = "any"     // whatever has arrived, as netperf's does
)

// Config is the whole configuration of one trial. Sizes are bytes.
type Config struct {
	NICs         int
	CPUs         int // in use; 0: all
	MessageBytes int
	MTU          int // 0: as found
	Affinity     Affinity
	Unpinned     Unpinned
	Client       Client
	IRQCPU       Chosen // of the last NIC
	ProcessCPU   Chosen
	FlowsPerNIC  int
	Model        load.Model
	SocketBuffer int // SO_SNDBUF and SO_RCVBUF as asked; 0: the kernel's auto-tuning
	NoDelay      bool
	Congestion   string // "": as found
	GRO          bool   // on the server's NICs
	GROAsFound   bool   // GRO is not touched, nor are NAPI threads made; GRO says nothing
	TSO          bool   // TSO and GSO on the client's NICs
	TSOAsFound   bool   // they are not touched; TSO says nothing
	// Tune and ClientTune are settings of package tune by name, of all NICs in use of the server and
	// of the client, and of these hosts. An MTU on a rig that owns both ends is of both.
	Tune, ClientTune map[string]string
	Engine           string
	Receive          Receive
	Wire             WireConfig
	StackDevice      string            // of engine "ustack"; empty: packet
	Techniques       map[string]string // of engine "ustack", by name; what is not named is as the stack has it
}

// defaultLevels are the paper's workload on today's rig: 64 KiB socket buffers,
// TCP_NODELAY, MTU 1500, real frames. CPUs not named here are all in use.
var defaultLevels = Levels{
	"nics": "1", "message_size": "8192", "mtu": "1500", "affinity": "none", "unpinned": "scatter", "client": "as-found",
	"flows_per_nic": "1", "model": "process", "socket_buffer": "65536", "nodelay": "on", "congestion": "cubic",
	"gro": "on", "tso": "off", "engine": "kernel", "receive": "message",
	"link_rate": LevelAsFound, "interrupt_rate": LevelAsFound, "bus": string(BusAsFound), "bus_rate": LevelAsFound,
	FactorIRQCPU: LevelAsFound, FactorProcessCPU: LevelAsFound,
}

// Factor is something that a plan may vary. Set reads a level into a
// configuration and returns the level's canonical form, which is what records carry.
type Factor struct {
	Name string
	Doc  string // what the levels are, for help and errors
	Set  func(c *Config, level string) (string, error)
}

// Factors are all factors, in the order in which help lists them.
func Factors() []Factor {
	return slices.Concat([]Factor{
		{"nics", "number of NICs, each with its own server process", count(func(c *Config) *int { return &c.NICs }, 1, rig.MaxNICs)},
		{"cpus", "number of CPUs in use (1P, 2P, 4P, ...)", count(func(c *Config) *int { return &c.CPUs }, 1, 4096)},
		{"message_size", "application message in bytes (1024, 8KiB, ...)", size(func(c *Config) *int { return &c.MessageBytes }, 1, load.MaxMessageBytes)},
		{"mtu", "bytes (576 to 65535), or as-found", found(func(c *Config) { c.MTU = 0 }, size(func(c *Config) *int { return &c.MTU }, 576, 65535))},
		{"affinity", "none, irq, process, both or opposite", choice(func(c *Config) *Affinity { return &c.Affinity },
			AffinityNone, AffinityIRQ, AffinityProcess, AffinityBoth, AffinityOpposite)},
		{"unpinned", "scatter (as kernels of 2002) or as-found", choice(func(c *Config) *Unpinned { return &c.Unpinned }, Scatter, AsFound)},
		{
			"client", "unpinned (as the factor unpinned says), as-found, same or opposite (to the server's process)",
			choice(func(c *Config) *Client { return &c.Client }, ClientUnpinned, ClientAsFound, ClientSame, ClientOpposite),
		},
		{"flows_per_nic", "data connections of each NIC", count(func(c *Config) *int { return &c.FlowsPerNIC }, 1, 1024)},
		{"model", "process (one per NIC) or thread", choice(func(c *Config) *load.Model { return &c.Model }, load.Process, load.Thread)},
		{"socket_buffer", "SO_SNDBUF and SO_RCVBUF in bytes, 0 for auto-tuning", size(func(c *Config) *int { return &c.SocketBuffer }, 0, 1<<30)},
		{"nodelay", "TCP_NODELAY: on or off", toggle(func(c *Config) *bool { return &c.NoDelay })},
		{
			"congestion", "congestion control of both ends (cubic, reno, bbr, ...), or as-found",
			found(func(c *Config) { c.Congestion = "" }, word(func(c *Config) *string { return &c.Congestion })),
		},
		{
			"gro", "GRO on the server's NICs: on, off or as-found",
			switched(func(c *Config) (*bool, *bool) { return &c.GRO, &c.GROAsFound }),
		},
		{
			"tso", "TSO and GSO on the client's NICs: on, off or as-found",
			switched(func(c *Config) (*bool, *bool) { return &c.TSO, &c.TSOAsFound }),
		},
		{
			"receive", "message (a receive call waits for a whole message) or any (it returns whatever has arrived, as netperf's)",
			choice(func(c *Config) *Receive { return &c.Receive }, ReceiveMessage, ReceiveAny),
		},
		{
			"engine", "kernel (sockets), ustack (the server's end is a stack of our own) or null (no socket: the tool's own ceiling)",
			word(func(c *Config) *string { return &c.Engine }),
		},
	}, pairFactors(), wireFactors(), stackFactors())
}

// factors makes them once: they are looked up for every trial.
var factors = sync.OnceValue(Factors)

// FindFactor returns the factor of that name. Beside those of [Factors] every setting of package
// tune is one: tune.NAME of the server, client.NAME of the client.
func FindFactor(name string) (Factor, error) {
	if f, ok, err := tuneFactor(name); ok {
		return f, err
	}
	var known []string
	for _, f := range factors() {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return Factor{}, fmt.Errorf("unknown factor %q: known are %v", name, known)
}

func count(at func(*Config) *int, low, high int) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		n, err := strconv.Atoi(level)
		if err != nil || n < low || n > high {
			return "", fmt.Errorf("%q: want a whole number from %d to %d", level, low, high)
		}
		*at(c) = n
		return strconv.Itoa(n), nil
	}
}

func size(at func(*Config) *int, low, high int64) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		n, err := unit.ParseSize(level)
		if err != nil {
			return "", err
		}
		if n < low || n > high {
			return "", fmt.Errorf("%q: want %d to %d bytes", level, low, high)
		}
		*at(c) = int(n)
		return strconv.FormatInt(n, 10), nil
	}
}

func choice[T ~string](at func(*Config) *T, allowed ...T) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		for _, a := range allowed {
			if level == string(a) {
				*at(c) = a
				return level, nil
			}
		}
		return "", fmt.Errorf("%q: want one of %v", level, allowed)
	}
}

func toggle(at func(*Config) *bool) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		switch level {
		case "on", "true":
			*at(c) = true
			return "on", nil
		case "off", "false":
			*at(c) = false
			return "off", nil
		}
		return "", fmt.Errorf("%q: want on or off", level)
	}
}

// LevelAsFound leaves a setting as it is found.
const LevelAsFound = "as-found"

// found adds the level as-found to a factor.
func found(leave func(*Config), set func(*Config, string) (string, error)) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		if level == LevelAsFound {
			leave(c)
			return level, nil
		}
		return set(c, level)
	}
}

// switched is a switch that may be left as found.
func switched(at func(*Config) (on, asFound *bool)) func(*Config, string) (string, error) {
	set := toggle(func(c *Config) *bool { on, asFound := at(c); *asFound = false; return on })
	return found(func(c *Config) { on, asFound := at(c); *on, *asFound = false, true }, set)
}

func word(at func(*Config) *string) func(*Config, string) (string, error) {
	return func(c *Config, level string) (string, error) {
		if level == "" {
			return "", fmt.Errorf("empty: want a name")
		}
		*at(c) = level
		return level, nil
	}
}
