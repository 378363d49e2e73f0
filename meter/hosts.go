package meter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/rig"
)

// Roles of hosts in results.
const (
	sender   = "sender"
	receiver = "receiver"
)

// station is one host of the run: a session with its agent.
type station struct {
	HostResult
	client *agent.Client
	hello  agent.Hello
	facts  host.Facts
	clock  agent.ClockReading
	spec   load.Spec
	pids   []int
	// addresses are where clients connect to, by the ID of the spec of flows.
	addresses map[int]string
	measures  bool // CPU time, for its machine
	machine   int  // index of Result.Machines
	cut       bool // told no whole window, see salvage
}

// pair is a sender's and a receiver's end of some flows.
type pair struct {
	sender, receiver         *station
	senderNIC, receiverNIC   string
	senderAddr, receiverAddr netip.Addr
	stacks                   map[load.Role]netip.Prefix // own addresses of the ends that run engine "ustack"
	id                       int                        // of the first flow
}

// ends are the one that makes the connections and the one that accepts them.
func (p *pair) ends(c *Config) (connects, accepts *station) {
	if c.clientSends() {
		return p.sender, p.receiver
	}
	return p.receiver, p.sender
}

// fleet is all hosts of a run and how they are paired.
type fleet struct {
	config   *Config
	kind     string
	stations []*station
	pairs    []*pair
	warnings warnings
	lost     error // what made the run incomplete
}

// Names of rigs in results.
const (
	rigVeth  = "veth"
	rigHosts = "hosts"
)

// open makes the sessions with all agents. The caller closes the fleet, also where there is an
// error.
func open(ctx context.Context, c *Config) (*fleet, error) {
	f := &fleet{config: c, kind: rigHosts}
	if c.RigPairs > 0 {
		f.kind = rigVeth
		return f, f.build(ctx)
	}
	byAgent := map[string]*station{}
	find := func(role string, i int, h Host) (*station, error) {
		if s := byAgent[h.Agent]; s != nil && h.Agent != "" {
			if s.Role != role {
				return nil, fmt.Errorf("senders, receivers: the agent at %s can't be both: run two there, on two ports", h.Agent)
			}
			return s, nil
		}
		s := f.add(role, i)
		s.Agent = h.Agent
		byAgent[h.Agent] = s
		return s, nil
	}
	type end struct {
		s     *station
		nic   string
		stack netip.Prefix
	}
	ends := map[string][]end{}
	for _, side := range []struct {
		role  string
		hosts []Host
	}{{sender, c.Senders}, {receiver, c.Receivers}} {
		for i, h := range side.hosts {
			s, err := find(side.role, i, h)
			if err != nil {
				return f, err
			}
			if h.NIC != "" && !slices.Contains(s.NICs, h.NIC) {
				s.NICs = append(s.NICs, h.NIC)
			}
			ends[side.role] = append(ends[side.role], end{s, h.NIC, c.stackAddress(side.role, i)})
		}
	}
	if err := f.dial(ctx); err != nil {
		return f, err
	}
	from, to := ends[sender], ends[receiver]
	couple := func(a, b end) {
		f.pairs = append(f.pairs, &pair{
			sender: a.s, receiver: b.s, senderNIC: a.nic, receiverNIC: b.nic,
			stacks: map[load.Role]netip.Prefix{c.roleOf(sender): a.stack, c.roleOf(receiver): b.stack},
		})
	}
	if c.Mesh {
		for _, a := range from {
			for _, b := range to {
				couple(a, b)
			}
		}
	} else {
		for i := range max(len(from), len(to)) {
			couple(from[i%len(from)], to[i%len(to)])
		}
	}
	return f, f.locate(ctx)
}

// add makes a place for a host.
func (f *fleet) add(role string, i int) *station {
	name := role
	if i > 0 {
		name = fmt.Sprintf("%s%d", role, i+1)
	}
	s := &station{HostResult: HostResult{Name: name, Role: role}}
	f.stations = append(f.stations, s)
	return s
}

// build makes the built-in rig: for each pair two namespaces with veth NICs between them.
func (f *fleet) build(ctx context.Context) error {
	links := rig.Plan(f.config.RigPairs)
	for i, l := range links {
		a, b := f.add(sender, i), f.add(receiver, i)
		f.pairs = append(f.pairs, &pair{
			sender: a, receiver: b, senderNIC: l.Client.Name, receiverNIC: l.Server.Name,
			senderAddr: l.Client.Addr, receiverAddr: l.Server.Addr,
			stacks: map[load.Role]netip.Prefix{f.config.roleOf(sender): l.Client.Stack(), f.config.roleOf(receiver): l.Server.Stack()},
		})
		a.NICs, b.NICs = []string{l.Client.Name}, []string{l.Server.Name}
	}
	err := f.each(f.stations, func(s *station) (err error) {
		s.client, err = agent.Spawn(s.Name, agent.InNamespace)
		return err
	})
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the built-in rig needs network and mount namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)", err)
	}
	if err != nil {
		return err
	}
	for i, p := range f.pairs {
		if err := rig.Veth(p.receiver.client.PID(), p.sender.client.PID(), links[i:i+1]); err != nil {
			return err
		}
	}
	return f.each(f.stations, func(s *station) error { return s.introduce(ctx, f.config, false) })
}

// dial opens a session with every agent, in the order of their addresses, so that two
// controllers who want the same ones do not wait for each other.
func (f *fleet) dial(ctx context.Context) error {
	order := slices.SortedFunc(slices.Values(f.stations), func(a, b *station) int { return cmp.Compare(a.Agent, b.Agent) })
	for _, s := range order {
		if err := s.dial(ctx, f.config); err != nil {
			return err
		}
	}
	return nil
}

func (s *station) dial(ctx context.Context, c *Config) (err error) {
	if s.Agent == "" {
		if s.client, err = agent.Spawn(s.Name, agent.OnHost); err != nil {
			return err
		}
		return s.introduce(ctx, c, false)
	}
	if c.Credentials == nil {
		return fmt.Errorf("credentials: the agent at %s needs some", s.Agent)
	}
	if c.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Wait, fmt.Errorf("%v for the agent at %s", c.Wait, s.Agent))
		defer cancel()
		s.client, s.hello, err = agent.DialWait(ctx, s.Agent, c.Credentials, agent.Introduction{Run: c.Name}, func(busy error) {
			c.tell(Event{Phase: "waiting: " + busy.Error()})
		})
		if err != nil {
			return err
		}
		return s.understand()
	}
	if s.client, err = agent.Dial(ctx, s.Agent, c.Credentials); err != nil {
		return err
	}
	return s.introduce(ctx, c, false)
}

// introduce makes us known; measures opens the host's source of CPU time.
func (s *station) introduce(ctx context.Context, c *Config, measures bool) (err error) {
	if s.hello, err = s.client.Introduce(ctx, agent.Introduction{Run: c.Name, Measures: measures}); err != nil {
		return err
	}
	s.measures = measures
	return s.understand()
}

func (s *station) understand() error {
	if err := json.Unmarshal(s.hello.Host, &s.facts); err != nil {
		return fmt.Errorf("%s: facts of the host: %w", s.client.Name, err)
	}
	return nil
}

// locate finds the addresses of the pairs' ends.
func (f *fleet) locate(ctx context.Context) error {
	for _, p := range f.pairs {
		connects, accepts := p.ends(f.config)
		for _, end := range []struct {
			s    *station
			nic  string
			addr *netip.Addr
			need bool
		}{
			{p.sender, p.senderNIC, &p.senderAddr, accepts == p.sender},
			{p.receiver, p.receiverNIC, &p.receiverAddr, accepts == p.receiver},
		} {
			if end.nic == "" && !end.need {
				continue // its routes decide
			}
			a, err := end.s.find(ctx, end.nic, connects)
			if err != nil {
				return err
			}
			*end.addr = a
		}
	}
	return nil
}

// find returns the address of a NIC of the host, or the one at which from can reach the host.
func (s *station) find(ctx context.Context, nic string, from *station) (netip.Addr, error) {
	if nic != "" {
		all, err := s.client.Addresses(ctx, nic)
		if err != nil {
			return netip.Addr{}, err
		}
		return all[0], nil
	}
	if s.Agent != "" {
		return hostOf(s.client.RemoteAddr())
	}
	if from.Agent != "" { // the address that this machine has for the other one
		return hostOf(from.client.LocalAddr())
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
}

func hostOf(a net.Addr) (netip.Addr, error) {
	at, err := netip.ParseAddrPort(a.String())
	return at.Addr().Unmap(), err
}

// each calls f for some stations at once and returns all errors.
func (f *fleet) each(stations []*station, do func(*station) error) error {
	errs := make([]error, len(stations))
	var wg sync.WaitGroup
	for i, s := range stations {
		wg.Go(func() { errs[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close ends all sessions; the agents put their hosts back.
func (f *fleet) close() error {
	return f.each(f.stations, func(s *station) error {
		if s.client == nil {
			return nil
		}
		return s.client.Close()
	})
}

func (c *Config) tell(e Event) {
	if c.Watch != nil {
		c.Watch(e)
	}
}
