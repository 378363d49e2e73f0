package meter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/load"
)

// How long things may take.
const (
	// startLead is how long before the common start and the common window all hosts are told of
	// them.
	startLead = 150 * time.Millisecond
	// loadTimeout is how long flows have to begin to carry payload, and flowLoadTimeout what
	// each flow adds.
	loadTimeout     = 10 * time.Second
	flowLoadTimeout = time.Millisecond
	stopGrace       = 2 * time.Second
	// clockTimeout bounds the comparison with one host.
	clockTimeout = 5 * time.Second
)

// Run measures what c says. A result that is not nil is of what was measured also where there is an error: of a
// host that was lost, or a flow that ended, in mid-run (Result.Complete is then false). An
// error that wraps [ErrConfig] is about c, and nothing was done.
//
// With agents that stop answering, a phase takes at most this long; hosts are worked on at
// once but where it says otherwise.
//   - hello: 60 s for each agent, one after the other, after Config.Wait for each; again 60 s to
//     open the sources of CPU time
//   - comparison of clocks: 5 s for each host, one after the other
//   - prepare, connect, go: 60 s each
//   - await (all flows carry payload): 10 s and 1 ms a flow, and 60 s for the answer
//   - a window: Config.Duration and 60 s; a host that says nothing for 10 s and an
//     interval is lost, and no window follows
//   - stop: 2 s and 60 s for each of the two ends, then again 5 s a host for the clocks
//
// A context that ends cuts each of them short.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Normalize(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if watch := c.Watch; watch != nil {
		var mu sync.Mutex
		c.Watch = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			watch(e)
		}
	}
	c.tell(Event{Phase: "opening the hosts"})
	f, err := open(ctx, &c)
	var r *Result
	if err == nil {
		r, err = f.run(ctx)
	}
	if closed := f.close(); err == nil {
		err = closed
	}
	return r, err
}

// ErrConfig is wrapped by errors about a [Config].
var ErrConfig = errors.New("configuration")

// run brings the load up, measures, and brings it down. The result is nil where nothing was
// measured.
func (f *fleet) run(ctx context.Context) (*Result, error) {
	if err := f.observe(ctx); err != nil {
		return nil, err
	}
	if err := f.compareClocks(ctx); err != nil {
		return nil, err
	}
	f.config.tell(Event{Phase: "connecting"})
	if err := f.prepare(ctx); err != nil {
		return nil, err
	}
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	if err := f.start(ctx); err != nil {
		return nil, err
	}
	f.config.tell(Event{Phase: "ramping up"})
	if err := sleep(ctx, f.config.RampUp); err != nil {
		return nil, err
	}
	m := f.measure(ctx)
	if len(m.windows) == 0 {
		return nil, errors.Join(f.lost, context.Cause(ctx))
	}
	var ends map[*station]map[int]load.End
	if ctx.Err() == nil { // otherwise the calls that were cut off have ended the sessions
		ends = f.stop(ctx)
		f.drift(ctx)
	}
	r := f.result(m, ends)
	if f.lost != nil {
		r.Error = f.lost.Error()
	}
	return r, f.lost
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// observe has one host of each machine measure its CPU time.
func (f *fleet) observe(ctx context.Context) error {
	machines := map[string]int{}
	var measuring []*station
	for i, s := range f.stations {
		key := s.facts.BootID
		if key == "" { // not told: a machine of its own
			key = fmt.Sprint(i)
		}
		at, known := machines[key]
		if !known {
			at = len(machines)
			machines[key] = at
			measuring = append(measuring, s)
		}
		s.machine = at
	}
	if f.config.NoCPUTime {
		return nil
	}
	return f.each(measuring, func(s *station) error { return s.introduce(ctx, f.config, true) })
}

func (f *fleet) compareClocks(ctx context.Context) error {
	// One after the other: exchanges that compete for CPUs are slow, and so uncertain.
	for _, s := range f.stations {
		var err error
		if s.clock, err = s.compareClock(ctx); err != nil {
			return err
		}
		s.ClockOffset, s.ClockUncertainty = s.clock.Offset.Nanoseconds(), s.clock.Uncertainty.Nanoseconds()
	}
	return nil
}

// compareClock bounds the comparison, because hosts wait for each other's.
func (s *station) compareClock(ctx context.Context) (agent.ClockReading, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, clockTimeout, fmt.Errorf("%s: its clock was not told within %v", s.Name, clockTimeout))
	defer cancel()
	return s.client.Clock(ctx)
}

// drift compares the clocks of the hosts that are left again.
func (f *fleet) drift(ctx context.Context) {
	for _, s := range f.stations {
		if s.Error != "" || ctx.Err() != nil {
			continue
		}
		if now, err := s.compareClock(ctx); err == nil {
			s.ClockDrift = (now.Offset - s.clock.Offset).Nanoseconds()
		}
	}
}

// portFlows is how many flows go to one port of a server: a client has 28 thousand ports of
// its own for each (net.ipv4.ip_local_port_range).
const portFlows = 16384

// specs gives every host its part of the load.
func (f *fleet) specs() {
	c := f.config
	token := load.NewToken()
	longest := max(c.Duration, c.MaxDuration) + c.RampUp + 2*time.Minute
	for _, s := range f.stations {
		role := c.roleOf(s.Role)
		s.spec = load.Spec{
			Role: role, Workload: c.Pattern(), Engine: c.engine(role), Stack: c.stackSpec(role), Threads: c.Threads,
			Lifetime: min(longest, load.MaxDuration),
		}
	}
	id := 0
	for k, p := range f.pairs {
		p.id = id
		for _, end := range []struct {
			s    *station
			nic  string
			cpus []int
		}{{p.sender, p.senderNIC, c.SenderCPUs}, {p.receiver, p.receiverNIC, c.ReceiverCPUs}} {
			s := end.s
			flow := c.flow(s.spec.Role, id)
			flow.Token, flow.NIC = token, k
			addr := p.senderAddr
			if s == p.receiver {
				addr = p.receiverAddr
			}
			if s.spec.Stack != nil {
				own := p.stacks[s.spec.Role]
				f.link(s, k, end.nic, own)
				addr = own.Addr()
			}
			if addr.IsValid() {
				flow.Local = data(addr)
			}
			if c.BindDevice {
				flow.Device = end.nic
			}
			s.spec.CPUs = end.cpus
			for left := c.Flows; left > 0; left -= portFlows {
				flow.Count = min(left, portFlows)
				s.spec.Flows = append(s.spec.Flows, flow)
				flow.ID += flow.Count
			}
		}
		id += c.Flows
	}
	for _, s := range f.stations {
		s.Flows = s.spec.FlowCount()
		s.spec.Model = c.model(len(s.hello.CPUs))
		s.Model = string(s.spec.Model)
	}
}

// prepare starts the workers and gathers the addresses of those that accept.
func (f *fleet) prepare(ctx context.Context) error {
	f.specs()
	return f.each(f.stations, func(s *station) error {
		if err := f.realFrames(ctx, s); err != nil {
			return err
		}
		ready, err := s.client.Prepare(ctx, s.spec)
		s.pids, s.addresses, s.Paced = ready.PIDs, ready.Addresses, ready.PacedBitsPerSecond
		return err
	})
}

// connect makes all data connections.
func (f *fleet) connect(ctx context.Context) error {
	to := map[*station]map[int]string{}
	for _, p := range f.pairs {
		connects, accepts := p.ends(f.config)
		if to[connects] == nil {
			to[connects] = map[int]string{}
		}
		for id := p.id; id < p.id+f.config.Flows; id += portFlows {
			to[connects][id] = accepts.addresses[id]
			if f.config.SinglePort {
				to[connects][id] = accepts.client.RemoteAddr().String()
			}
		}
	}
	return f.each(f.stations, func(s *station) error {
		return s.client.Connect(ctx, agent.Connect{To: to[s]})
	})
}

// start begins all flows at one time and waits until each carries payload.
func (f *fleet) start(ctx context.Context) error {
	at := clock.Now() + startLead.Nanoseconds()
	if err := f.each(f.stations, func(s *station) error {
		return s.client.Go(ctx, agent.Start{At: s.there(at)})
	}); err != nil {
		return err
	}
	return f.each(f.stations, func(s *station) error {
		timeout := loadTimeout + time.Duration(s.Flows)*flowLoadTimeout
		began, err := s.client.Await(ctx, agent.Await{Timeout: timeout})
		s.StartSkew = began.Last - s.there(at)
		return err
	})
}

// there is a time of our clock by the host's.
func (s *station) there(ours int64) int64 { return ours + s.clock.Offset.Nanoseconds() }

// here is a time of the host's clock by ours.
func (s *station) here(theirs int64) int64 { return theirs - s.clock.Offset.Nanoseconds() }

// stop ends the load, the end that lets the other end by itself first, and returns what is
// known of each end of each flow.
func (f *fleet) stop(ctx context.Context) map[*station]map[int]load.End {
	ends := map[*station]map[int]load.End{}
	first := load.Workloads[f.config.Pattern()].First()
	for _, turn := range []bool{true, false} {
		var those []*station
		for _, s := range f.stations {
			if (s.spec.Role == first) == turn && s.Error == "" {
				those = append(those, s)
				ends[s] = map[int]load.End{}
			}
		}
		_ = f.each(those, func(s *station) error {
			out, err := s.client.Stop(ctx, stopGrace)
			if err != nil {
				f.warnings.add("stop", "%s: %v", s.Name, err)
			}
			for _, e := range out.Ends {
				ends[s][e.ID] = e
			}
			s.Stacks = out.Stacks
			return nil
		})
	}
	return ends
}

// common is the part of the hosts' windows that all of them share, by our clock.
func common(stations []*station, got map[*station]agent.Measured) (opened, closed, skew int64) {
	firstOpen, lastClose := int64(math.MaxInt64), int64(math.MinInt64)
	opened, closed = math.MinInt64, math.MaxInt64
	for _, s := range stations {
		m, ok := got[s]
		if !ok {
			continue
		}
		o, c := s.here(m.Opened), s.here(m.Closed)
		opened, firstOpen = max(opened, o), min(firstOpen, o)
		closed, lastClose = min(closed, c), max(lastClose, c)
	}
	return opened, closed, max(opened-firstOpen, lastClose-closed)
}
