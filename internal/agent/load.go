package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/load"
)

// stopParams are the params of the call "stop".
type stopParams struct {
	Grace time.Duration `json:"grace_nanoseconds"` // how long flows have to end by themselves
}

// errNoLoad answers a call that needs a prepared load.
var errNoLoad = &Error{Code: "bad-request", Text: "no load is prepared"}

// phase is how far the load has come. Calls go in this order; a call that fails leaves the
// load in the phase done, from which only release leads on.
type phase string

const (
	prepared  phase = "prepared"
	connected phase = "connected"
	running   phase = "running"
	done      phase = "done"
)

// in refuses a call that does not come in the phase in which it means something.
func (s *session) in(want phase) error {
	switch {
	case s.pool == nil:
		return errNoLoad
	case s.phase != want:
		return &Error{Code: "bad-request", Text: fmt.Sprintf("the load is %s, the call needs it %s", s.phase, want)}
	}
	return nil
}

// step makes a call in one phase that leads to the next.
func (s *session) step(from, to phase, call func() error) error {
	if err := s.in(from); err != nil {
		return err
	}
	s.phase = done
	if err := call(); err != nil {
		return err
	}
	s.phase = to
	return nil
}

func (s *session) prepare(ctx context.Context, spec load.Spec) (Prepared, error) {
	if s.pool != nil {
		return Prepared{}, &Error{Code: "bad-request", Text: "a load is prepared already: release it first"}
	}
	if err := s.options.Limits.check(spec); err != nil {
		return Prepared{}, err
	}
	for i := range spec.Flows {
		// Whoever is on the network must not reach this machine's sockets through its agent.
		if spec.Flows[i].Transport == load.Unix && !s.options.AllowSettings {
			return Prepared{}, &Error{Code: "not-supported", Text: fmt.Sprintf("flows[%d].transport: this agent serves controllers elsewhere and opens no unix sockets for them: run both ends from their own machine", i)}
		}
	}
	if err := s.mayStack(&spec); err != nil {
		return Prepared{}, err
	}
	paced := s.options.Limits.pace(&spec)
	pool, err := load.Start(ctx, spec)
	if err != nil {
		return Prepared{}, err
	}
	addresses, err := pool.Addresses(ctx)
	if err != nil {
		pool.Close()
		return Prepared{}, err
	}
	s.pool, s.spec, s.phase = pool, spec, prepared
	return Prepared{Addresses: addresses, PIDs: pool.PIDs(), PacedBitsPerSecond: paced}, nil
}

// mayStack refuses a user-space stack where it would be given more than load: on the networks
// of a host that lends load alone it could take anybody's address.
func (s *session) mayStack(spec *load.Spec) error {
	if spec.Stack == nil {
		return nil
	}
	if !s.options.AllowSettings {
		return &Error{Code: "not-supported", Text: "engine \"ustack\": this agent lends load only and lets nobody take addresses on its networks: run that end from its own machine (local)"}
	}
	for _, l := range spec.Stack.Links {
		if l.Own && !s.options.Namespace {
			return &Error{Code: "bad-request", Text: "stack.links: own is for namespaces that were made for the run"}
		}
	}
	return nil
}

func (s *session) connect(ctx context.Context, c Connect) (none, error) {
	return none{}, s.step(prepared, connected, func() error { return s.pool.Connect(ctx, c.To) })
}

func (s *session) start(ctx context.Context, p Start) (none, error) {
	if p.At < 0 || p.At > clock.Now()+load.MaxDuration.Nanoseconds() {
		return none{}, &Error{Code: "bad-request", Text: fmt.Sprintf("at_nanoseconds: %d, want 0 for at once or a time of this host's CLOCK_MONOTONIC within %v", p.At, load.MaxDuration)}
	}
	return none{}, s.step(connected, running, func() error { return s.pool.Go(ctx, p.At) })
}

// await waits until every flow carries payload.
func (s *session) await(ctx context.Context, p Await) (Carrying, error) {
	if err := s.in(running); err != nil {
		return Carrying{}, err
	}
	table := s.pool.Table
	// A connection of crr may go to any flow of the server.
	payload := s.spec.Workload != "crr" || s.spec.Role == load.Client
	timeout := min(p.Timeout, 5*time.Minute)
	for end := time.Now().Add(timeout); ; {
		n, err := table.Carrying(payload)
		if err != nil {
			return Carrying{}, err
		}
		if n == table.Len() {
			break
		}
		if time.Now().After(end) {
			return Carrying{}, fmt.Errorf("%d of %d flows carried nothing in %v", table.Len()-n, table.Len(), timeout)
		}
		select {
		case <-ctx.Done():
			return Carrying{}, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	out := Carrying{First: math.MaxInt64}
	for i := range table.Len() {
		at := table.Slot(i).Began()
		out.First, out.Last = min(out.First, at), max(out.Last, at)
	}
	return out, nil
}

func (s *session) stop(ctx context.Context, p stopParams) (out Stopped, err error) {
	err = s.step(running, done, func() (err error) {
		out.Ends, err = s.pool.Stop(ctx, min(max(p.Grace, 0), 10*time.Second))
		out.Ends, out.Stacks = some(out.Ends), s.pool.Stacks()
		return err
	})
	return out, err
}

// maxEnds bounds the answer: of more ends than that, only so many are told, evenly spread.
const maxEnds = 16384

func some(ends []load.End) []load.End {
	step := (len(ends) + maxEnds - 1) / maxEnds
	if step <= 1 {
		return ends
	}
	var out []load.End
	for i := 0; i < len(ends); i += step {
		out = append(out, ends[i])
	}
	return out
}

func (s *session) release(context.Context, none) (none, error) {
	s.endLoad()
	return none{}, s.unplace()
}

// endLoad ends the workers and the scattering.
func (s *session) endLoad() {
	if s.scatter != nil {
		s.scatter.end()
		s.scatter = nil
	}
	if s.pool != nil {
		s.monitor.letGo()
		s.pool.Close()
		s.pool = nil
	}
}

// Limits bound what a controller can make this host do. The agent holds to
// them whatever the controller asks.
type Limits struct {
	Flows    int           // at most
	Lifetime time.Duration // of a load, at most
	Memory   int64         // bytes of message and socket buffers as asked, at most
	// BitsPerSecond is what the senders of a load may send together, at most; 0:
	// what the link takes.
	BitsPerSecond float64
}

// DefaultLimits are those of a host that lends itself to a study.
func DefaultLimits() Limits {
	return Limits{Flows: load.MaxFlows, Lifetime: load.MaxDuration, Memory: 1 << 30}
}

// pace shares the rate that is allowed among the senders and returns it, 0 where there
// is no bound.
func (l Limits) pace(spec *load.Spec) float64 {
	if l.BitsPerSecond <= 0 || !spec.Sends() {
		return 0
	}
	each := max(1, uint64(l.BitsPerSecond/8/float64(spec.FlowCount())))
	for i := range spec.Flows {
		f := &spec.Flows[i]
		if f.PacingBytesPerSecond == 0 || f.PacingBytesPerSecond > each {
			f.PacingBytesPerSecond = each
		}
		if spec.Engine == load.Ustack {
			f.PacingBytesPerSecond = 0 // it paces its connections by messages alone
		}
		// The kernel paces datagrams under some queueing disciplines alone.
		if rate := float64(each) / float64(max(f.MessageBytes, f.Response())); (f.Transport == load.UDP || spec.Engine == load.Ustack) && (f.Rate == 0 || f.Rate > rate) {
			f.Rate = rate
		}
	}
	return l.BitsPerSecond
}

func (l Limits) check(spec load.Spec) error {
	var memory int64
	for i := range spec.Flows {
		f := &spec.Flows[i]
		memory += int64(f.Flows()) * int64(f.SendBufferBytes+f.ReceiveBufferBytes)
		buffers := int64(f.MessageBytes) * int64(max(1, f.Batch))
		if spec.Model != load.Epoll { // a thread has buffers of its own
			buffers *= int64(f.Flows())
		}
		memory += buffers
	}
	var err error
	switch {
	case spec.FlowCount() > l.Flows:
		err = fmt.Errorf("flows: %d, this agent allows %d", spec.FlowCount(), l.Flows)
	case spec.Lifetime > l.Lifetime:
		err = fmt.Errorf("lifetime: %v, this agent allows %v", spec.Lifetime, l.Lifetime)
	case memory > l.Memory:
		err = fmt.Errorf("message and socket buffers of %d bytes, this agent allows %d", memory, l.Memory)
	default:
		return nil
	}
	return &Error{Code: "bad-request", Text: errors.Join(errors.New("over a limit of the agent"), err).Error()}
}

// sampleBytes is what one sample of all flows together takes here.
const sampleBytes = 128

func (l Limits) checkWindow(w load.Window, flows int) error {
	if err := w.Validate(); err != nil {
		return &Error{Code: "bad-request", Text: "window." + err.Error()}
	}
	if !w.PerFlow {
		flows = 1
	}
	if memory := int64(w.Length/w.Interval+2) * int64(flows+sampleBytes/8) * 8; memory > l.Memory {
		return &Error{Code: "bad-request", Text: fmt.Sprintf("window: samples of %d bytes, this agent allows %d: choose a longer interval", memory, l.Memory)}
	}
	return nil
}
