package experiment

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// VethBench builds the built-in rig with as many NICs as the plan needs. The
// caller closes it.
func VethBench(ctx context.Context, p *Plan) (b *Bench, err error) {
	n, err := p.MaxNICs()
	if err != nil {
		return nil, err
	}
	b = &Bench{Kind: KindVeth, Links: rig.Plan(n)}
	defer func() {
		if err != nil {
			_ = b.Close() // nothing was set yet
			b = nil
		}
	}()
	if err = b.spawn(ctx); err != nil {
		return b, err
	}
	return b, rig.Veth(b.Server.PID(), b.Client.PID(), b.Links)
}

// spawn starts the agents of a built-in rig, each in a namespace of its own.
func (b *Bench) spawn(ctx context.Context) (err error) {
	if b.Server, err = agent.Spawn("server", agent.InNamespace); err != nil {
		return err
	}
	if b.Client, err = agent.Spawn("client", agent.InNamespace); err != nil {
		return err
	}
	return b.hello(ctx)
}

// HostsBench makes this machine the server on the given NICs, and the agent at
// peer the client. The peer's routes decide through which of its NICs each flow leaves.
func HostsBench(ctx context.Context, nics []rig.NIC, peer string, cred agent.Credentials) (b *Bench, err error) {
	b = &Bench{Kind: KindHosts}
	for _, nic := range nics {
		b.Links = append(b.Links, rig.Link{Server: nic})
	}
	defer func() {
		if err != nil {
			_ = b.Close() // nothing was set yet
			b = nil
		}
	}()
	if b.Server, err = agent.Spawn("server", agent.OnHost); err != nil {
		return b, err
	}
	if b.Client, err = agent.Dial(ctx, peer, cred); err != nil {
		return b, err
	}
	if err = b.findBuses(); err != nil {
		return b, err
	}
	return b, b.hello(ctx)
}

func (b *Bench) hello(ctx context.Context) (err error) {
	if b.ServerHello, err = b.Server.Hello(ctx, true); err != nil {
		return err
	}
	b.ClientHello, err = b.Client.Hello(ctx, false)
	return err
}

// MaxNICs is the largest number of NICs that any cell of the plan uses.
func (p *Plan) MaxNICs() (int, error) {
	most := 0
	for i := range p.Experiments {
		for _, cell := range p.Experiments[i].Cells() {
			c, err := cell.Config(p.Defaults)
			if err != nil {
				return 0, err
			}
			most = max(most, c.NICs)
		}
	}
	return most, nil
}

// LostPrefix begins the code of a warning about something that a host can't do;
// [agent.Limit]'s What follows.
const LostPrefix = "lost-"

// Fit takes out of the plan what these hosts cannot do and says what it took
// and why. What was taken out before stays out.
func (b *Bench) Fit(p *Plan) []trial.Warning {
	var out []trial.Warning
	lost := map[string]agent.Limit{}
	for _, l := range b.ServerHello.Lost {
		lost[l.What] = l
		out = append(out, trial.Warning{Code: LostPrefix + l.What, Text: fmt.Sprintf("%s: %s; %s", l.What, l.Why, l.Mend)})
	}
	if !b.OneMachine() {
		out = append(out, trial.Warning{Code: "peer-as-found", Text: "the client's NICs are left as found: TSO, GSO, MTU and interrupts there are not of this plan"})
	}
	for i := range p.Experiments {
		e := &p.Experiments[i]
		for _, l := range e.Cells() {
			c, err := l.Config(p.Defaults)
			if err != nil {
				continue // Normalize has refused such a plan
			}
			if why := b.unfit(c, lost); why != "" {
				e.Exclude = append(e.Exclude, l)
				out = append(out, trial.Warning{Code: "left-out", Text: fmt.Sprintf("%s %s left out: %s", e.Name, l.Key(), why)})
			}
		}
	}
	p.Experiments = slices.DeleteFunc(p.Experiments, func(e Experiment) bool { return len(e.Cells()) == 0 })
	return out
}

// unfit says why a configuration can't be had on these hosts; empty: it can.
func (b *Bench) unfit(c Config, lost map[string]agent.Limit) string {
	if l, ok := lost["irq-affinity"]; ok && (c.PinsIRQ() || c.Client == ClientSame || c.Client == ClientOpposite) {
		return l.Why
	}
	if _, err := b.cpus(c); err != nil {
		return err.Error()
	}
	if c.Engine == load.Ustack && !b.OneMachine() {
		return "the engine ustack takes an address of its own on the NIC, which this study chooses on its own rig alone: use `stackmeter run --engine ustack --stack-address`"
	}
	if _, err := b.links(c); err != nil {
		return err.Error()
	}
	hardware := c.Wire
	if b.buses != nil {
		hardware.Bus = BusAsFound // chosen among those given
	}
	if !hardware.asFound() && b.Kind != KindWire {
		return fmt.Sprintf("NICs of the rig %s have no link rate, interrupt rate or bus that could be chosen: use --rig %s", b.Kind, KindWire)
	}
	if c.TSO && b.Kind == KindWire {
		return "the NICs of the rig wire don't segment: leave tso off, or use --rig veth"
	}
	if len(c.ClientTune) > 0 && !b.OneMachine() {
		return "the peer's settings are the peer's: leave the factors client.* out"
	}
	if c.TSO && !b.OneMachine() {
		return "TSO of the client's NICs is the peer's to set: leave the factor out"
	}
	if c.Client != ClientAsFound && !b.OneMachine() {
		return "the client is another machine: where its work runs is not ours to choose"
	}
	return ""
}
