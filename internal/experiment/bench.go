package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// scatterPeriod is how often unpinned work is moved to a random CPU under
// [Scatter]: about the length of a scheduling quantum in 2002.
const scatterPeriod = 10 * time.Millisecond

// stopGrace is how long flows have to end by themselves after a window.
const stopGrace = 2 * time.Second

// Kinds of rigs.
const (
	KindVeth  = "veth"  // both hosts are namespaces of this machine
	KindWire  = "wire"  // the same, with NICs in software between them
	KindVM    = "vm"    // a guest's own network and a namespace of it, with the guest's PCI NICs
	KindHosts = "hosts" // real hosts
)

// Bench is a server and a client host with links between them, ready for
// trials. On one machine both agents see the same CPUs.
type Bench struct {
	Kind        string
	Server      *agent.Client
	Client      *agent.Client
	ServerHello agent.Hello
	ClientHello agent.Hello
	Links       []rig.Link
	// Loaded, where not nil, is called in each trial after the window, while its load still
	// runs, with the agents of the hosts that are this machine, the server's first; it takes at
	// most LoadedFor.
	Loaded    func(ctx context.Context, agents []int) error
	LoadedFor time.Duration
	wire      *wire.Rig // of [KindWire]
	buses     []string  // of Links, where they are PCI devices that were given; see [topo.Machine.Bus]
}

// Close ends both agents, which put their hosts back. The error says what they
// could not.
func (b *Bench) Close() error {
	var errs []error
	for _, c := range []*agent.Client{b.Client, b.Server} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if b.wire != nil {
		errs = append(errs, b.wire.Close())
	}
	return errors.Join(errs...)
}

// OneMachine reports whether both ends share their CPUs.
func (b *Bench) OneMachine() bool { return b.Kind != KindHosts }

// Trial runs one trial. The record is filled as far as the trial came; the
// error, where not nil, also stands in it.
func (b *Bench) Trial(ctx context.Context, c Config, t Timing) (trial.Trial, error) {
	rec := trial.Trial{Schema: trial.SchemaVersion, Status: trial.OK, Started: time.Now()}
	err := b.run(ctx, c, t, &rec)
	if err != nil {
		rec.Status, rec.Error = trial.Failed, err.Error()
	}
	return rec, err
}

func (b *Bench) run(ctx context.Context, c Config, t Timing, rec *trial.Trial) (err error) {
	links, err := b.links(c)
	if err != nil {
		return fmt.Errorf("nics: %w", err)
	}
	b.recordBuses(links, rec)
	b = b.on(links)
	cpus, err := b.cpus(c)
	if err != nil {
		return err
	}
	set, err := b.configure(ctx, c, cpus, rec)
	if err != nil {
		return err
	}
	server, client := b.specs(c, t, cpus)
	defer func() {
		for _, a := range []*agent.Client{b.Client, b.Server} {
			if ctx.Err() == nil {
				err = errors.Join(err, a.Release(ctx))
			}
		}
	}()
	ready, err := b.Server.Prepare(ctx, server)
	if err != nil {
		return err
	}
	sending, err := b.Client.Prepare(ctx, client)
	if err != nil {
		return err
	}
	if rate := sending.PacedBitsPerSecond; rate > 0 {
		rec.Warnings = append(rec.Warnings, trial.Warning{Code: "paced", Text: fmt.Sprintf(
			"the client's agent lets its load send at most %s: throughput shows that bound, not the stack's", unit.BitRate(rate))})
	}
	if err := b.connect(ctx, ready.Addresses); err != nil {
		return err
	}
	groups := map[string][]int{"server": ready.PIDs, "tool": {os.Getpid(), b.Server.PID(), b.Client.PID()}}
	placed, err := b.place(ctx, c, cpus, set.Confine)
	if err != nil {
		return err
	}
	groups["server"] = append(groups["server"], placed[0].NICWork...)
	if b.OneMachine() {
		rec.Warnings = append(rec.Warnings, unseenWork(c.NICs, placed[0])...)
		groups["client"] = append(sending.PIDs, placed[1].NICWork...)
	}
	if b.wire != nil {
		groups[groupWire] = []int{b.wire.Hardware()}
	}
	if err := errors.Join(b.Server.Go(ctx, agent.Start{}), b.Client.Go(ctx, agent.Start{})); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(t.RampUp):
	}
	m, err := b.Server.Measure(ctx, agent.Measure{
		Window: load.Window{Length: t.Window, Interval: t.Interval, PerFlow: true}, Groups: groups, CPU: true,
	}, nil)
	if err == nil && m.Ended != "" {
		err = errors.New(m.Ended)
	}
	if err != nil {
		return err
	}
	if b.Loaded != nil {
		agents := []int{b.Server.PID()}
		if b.OneMachine() {
			agents = append(agents, b.Client.PID())
		}
		if err := b.Loaded(ctx, agents); err != nil {
			return err
		}
	}
	if b.OneMachine() {
		there, err := b.Client.Confirm(ctx)
		if err != nil {
			return err
		}
		rec.Knobs = append(rec.Knobs, there.Knobs...)
	}
	sent, err := b.Client.Stop(ctx, stopGrace)
	if err != nil {
		return err
	}
	received, err := b.Server.Stop(ctx, stopGrace)
	if err != nil {
		return err
	}
	inForce, err := stacksInForce(c, received.Stacks)
	if err != nil {
		return err
	}
	rec.Knobs = append(rec.Knobs, inForce...)
	if !b.OneMachine() { // the host is the server and nothing else
		m.CPU.ServerUtilization = m.CPU.Utilization
	}
	if b.wire != nil {
		if err := b.wire.Lives(); err != nil {
			return err
		}
		rec.Warnings = append(rec.Warnings, b.warnWire(m.CPU)...)
	}
	fill(rec, server, client, m, sent.Ends, received.Ends)
	return nil
}

// cpus are the CPUs in use.
func (b *Bench) cpus(c Config) ([]int, error) {
	all := b.ServerHello.CPUs
	if c.CPUs == 0 {
		return all, c.inUse(all)
	}
	if c.CPUs > len(all) {
		return nil, fmt.Errorf("cpus: %d, the server has %d to use", c.CPUs, len(all))
	}
	return all[:c.CPUs], c.inUse(all[:c.CPUs])
}

// threads reports whether the receive work of the server's NICs is to be put into threads where they
// have no interrupt: veth receives by NAPI with GRO alone, a NIC of the rig wire has threads of its own,
// and what is as found stays so.
func threads(b *Bench, c Config) bool {
	return b.wire == nil && !c.GROAsFound && (c.GRO || b.Kind != KindVeth)
}

// offload is a feature to be set, none where it is as found.
func offload(asFound bool, on bool, names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		if !asFound {
			out[n] = on
		}
	}
	return out
}

func (b *Bench) configure(ctx context.Context, c Config, cpus []int, rec *trial.Trial) (agent.Configured, error) {
	server, client := agent.Configure{CPUs: cpus, Wire: b.reference(wire.Server)}, agent.Configure{Wire: b.reference(wire.Client)}
	for _, l := range b.Links[:c.NICs] {
		server.NICs = append(server.NICs, agent.NICSettings{
			Name: l.Server.Name, MTU: c.MTU, Threaded: threads(b, c), Features: offload(c.GROAsFound, c.GRO, "gro"),
			Tell: []string{"mtu", "gro"},
		})
		if b.OneMachine() {
			features := offload(c.TSOAsFound, c.TSO, "tso", "gso")
			features["gro"] = true
			if c.Engine == load.Ustack {
				features["tx"] = false // a stack that sees frames as on a wire wants their checksums whole
			}
			client.NICs = append(client.NICs, agent.NICSettings{Name: l.Client.Name, MTU: c.MTU, Threaded: b.wire == nil, Features: features, Tell: []string{"mtu", "tso", "gso"}})
		}
	}
	server.Tune = tunings(c.Tune, server.NICs)
	client.Tune = tunings(c.clientTune(b), client.NICs)
	set, err := b.Server.Configure(ctx, server)
	if err != nil {
		return set, err
	}
	rec.Knobs = append(rec.Knobs, set.Knobs...)
	rec.Warnings = append(rec.Warnings, set.Warnings...)
	if !b.OneMachine() {
		return set, nil
	}
	there, err := b.Client.Configure(ctx, client)
	rec.Knobs = append(rec.Knobs, there.Knobs...)
	rec.Warnings = append(rec.Warnings, there.Warnings...)
	return set, errors.Join(err, b.setWire(c, cpus, rec))
}

// specs are the two ends of the load.
func (b *Bench) specs(c Config, t Timing, cpus []int) (server, client load.Spec) {
	server = load.Spec{
		Role: load.Server, Workload: "stream", Engine: c.Engine, Model: c.Model,
		Lifetime: t.RampUp + t.Window + b.LoadedFor + time.Minute,
	}
	client = server
	client.Role = load.Client
	if c.Engine == load.Ustack {
		b.onStack(c, &server, &client)
	}
	for nic, l := range b.Links[:c.NICs] {
		for range c.FlowsPerNIC {
			f := load.FlowSpec{
				ID: len(server.Flows), NIC: nic, Token: load.NewToken(), Local: netip.AddrPortFrom(l.Server.Addr, 0),
				MessageBytes: c.MessageBytes, SendBufferBytes: c.SocketBuffer, ReceiveBufferBytes: c.SocketBuffer,
				NoDelay: c.NoDelay, Congestion: c.Congestion, CPU: processCPU(c, nic, cpus),
			}
			if c.Receive == ReceiveMessage {
				f.LowWaterBytes = c.MessageBytes
			}
			if server.Stack != nil {
				f.Local = netip.AddrPortFrom(l.Server.Stack().Addr(), 0)
			}
			server.Flows = append(server.Flows, f)
			f.Local = netip.AddrPort{}
			if l.Client.Addr.IsValid() {
				f.Local = netip.AddrPortFrom(l.Client.Addr, 0)
			}
			f.CPU = -1
			if b.OneMachine() {
				f.CPU = clientCPU(c, nic, cpus)
			}
			client.Flows = append(client.Flows, f)
		}
	}
	return server, client
}

// irqCPU is the CPU of NIC nic's receive work, -1 where it is not pinned.
func irqCPU(c Config, nic int, cpus []int) int {
	if cpu, ok := c.IRQCPU.of(c, nic, cpus); ok {
		return cpu
	}
	if !c.Affinity.PinsIRQ() {
		return -1
	}
	return cpus[nic%len(cpus)]
}

// processCPU is the CPU of the server process of NIC nic, -1 where it is not
// pinned.
func processCPU(c Config, nic int, cpus []int) int {
	if cpu, ok := c.ProcessCPU.of(c, nic, cpus); ok {
		return cpu
	}
	switch {
	case !c.PinsProcess():
		return -1
	case c.Affinity == AffinityOpposite:
		return cpus[(nic+1)%len(cpus)]
	}
	return cpus[nic%len(cpus)]
}

// clientCPU is the CPU of the client's process and receive work of NIC nic, -1
// where they are not pinned.
func clientCPU(c Config, nic int, cpus []int) int {
	switch c.Client {
	case ClientSame:
		return cpus[nic%len(cpus)]
	case ClientOpposite:
		return cpus[(nic+1)%len(cpus)]
	}
	return -1
}

func (b *Bench) connect(ctx context.Context, to map[int]string) error {
	accepted := make(chan error, 1)
	go func() { accepted <- b.Server.Connect(ctx, agent.Connect{}) }()
	return errors.Join(b.Client.Connect(ctx, agent.Connect{To: to}), <-accepted)
}

// place fixes where work runs on the server (0) and on the client (1).
func (b *Bench) place(ctx context.Context, c Config, cpus, confine []int) (placed [2]agent.Placed, err error) {
	server := agent.Place{IRQ: map[string]int{}, Confine: confine}
	client := server
	client.IRQ = map[string]int{}
	var serverNICs, clientNICs []string
	for nic, l := range b.Links[:c.NICs] {
		if cpu := irqCPU(c, nic, cpus); cpu >= 0 {
			server.IRQ[l.Server.Name] = cpu
		} else {
			serverNICs = append(serverNICs, l.Server.Name)
		}
		if cpu := clientCPU(c, nic, cpus); cpu >= 0 {
			client.IRQ[l.Client.Name] = cpu
		} else {
			clientNICs = append(clientNICs, l.Client.Name)
		}
	}
	if c.Unpinned == Scatter && len(cpus) > 1 {
		server.Scatter = &agent.Scatter{CPUs: cpus, Period: scatterPeriod, Flows: !c.PinsProcess(), NICs: serverNICs}
		if c.Client == ClientUnpinned {
			client.Scatter = &agent.Scatter{CPUs: cpus, Period: scatterPeriod, Flows: true, NICs: clientNICs}
		}
	}
	if placed[0], err = b.Server.Place(ctx, server); err != nil || !b.OneMachine() {
		return placed, err
	}
	placed[1], err = b.Client.Place(ctx, client)
	return placed, err
}
