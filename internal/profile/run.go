package profile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/profile/pmu"
	"github.com/stackmeter/stackmeter/internal/profile/sample"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// Options of [Run]. The zero value is good.
type Options struct {
	Duration  time.Duration // of all passes together; 0: 10 s
	Frequency int           // of the samples; 0: sample.DefaultFrequency
	Passes    []string      // of those below, in any order; nil: all that can be had here
	// PIDs are processes in whose network namespaces bytes are counted; nil: all
	// namespaces of the machine, those made meanwhile from the next slice on.
	PIDs []int
	// Load are processes in whose network namespaces the load runs: what processes elsewhere do
	// in user mode, system calls and exceptions counts for stage.Stranger. nil: nobody is a
	// stranger.
	Load []int
	// events stands in for the machine's hardware events.
	events []pmu.Event
	Seed   uint64 // of the slices' order; 0: drawn
	// Until, where not nil, ends the profile early when it is closed: with what there is.
	Until    <-chan struct{}
	Progress func(done, total int, what string, left time.Duration)
}

// passes are all passes with the share of a round that each gets. Samples come slowly;
// what nothing is on for is what all others are compared with.
var passes = []struct {
	name   string
	weight int
}{
	{PassOff, 2},
	{PassLight, 1},
	{PassSample, 3},
	{PassFrame, 1},
	{PassFlow, 1},
	{PassLock, 1},
	{PassEvents, 3},
}

// Passes lists the passes that may be asked for.
func Passes() []string {
	var out []string
	for _, p := range passes[1:] {
		out = append(out, p.name)
	}
	return out
}

// Bounds of slices and rounds. Under 6 rounds an interval has less than 95 %.
const (
	unitWanted = 150 * time.Millisecond
	minRounds  = 2
	maxRounds  = 40
	// MinDuration is the least for a profile that says anything.
	MinDuration = time.Second
)

// slice is one stretch of one pass.
type slice struct {
	pass   string
	length time.Duration
	round  int
}

// schedule divides the duration.
func schedule(names []string, d time.Duration, seed uint64) []slice {
	units := 0
	weight := map[string]int{}
	for _, p := range passes {
		if slices.Contains(names, p.name) {
			weight[p.name] = p.weight
			units += p.weight
		}
	}
	rounds := min(max(int(d/(time.Duration(units)*unitWanted)), minRounds), maxRounds)
	unit := d / time.Duration(rounds*units)
	random := rand.New(rand.NewPCG(seed, 1))
	var out []slice
	for round := range rounds {
		for _, i := range random.Perm(len(names)) {
			name := names[i]
			out = append(out, slice{name, time.Duration(weight[name]) * unit, round})
		}
	}
	return out
}

// Check refuses what [Run] would refuse, before anything is opened.
func (o Options) Check() error {
	for _, name := range o.Passes {
		if !slices.Contains(Passes(), name) {
			return fmt.Errorf("pass %q: unknown; there are %v", name, Passes())
		}
	}
	if o.Duration != 0 && o.Duration < MinDuration {
		return fmt.Errorf("duration %v: want at least %v", o.Duration, MinDuration)
	}
	return nil
}

// Run profiles what runs on this machine for the duration. The error is a
// [host.NotSupportedError] where not even the kernel's own counters can be read; what
// else is missing stands in the profile's limits.
func Run(ctx context.Context, o Options) (*Profile, error) {
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Frequency == 0 {
		o.Frequency = sample.DefaultFrequency
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	p, err := s.run(ctx)
	return p, errors.Join(err, s.close())
}

// run goes through the slices.
func (s *session) run(ctx context.Context) (*Profile, error) {
	began := clock.Now()
	p := &Profile{Schema: SchemaVersion, Started: time.Now(), Load: "traffic as found", Limits: s.limits, CPUs: s.cpus, Kernel: s.kernel}
	plan := schedule(s.names, s.options.Duration, s.options.Seed)
	var left time.Duration
	for _, x := range plan {
		left += x.length
	}
	rates := make([]map[string]float64, plan[len(plan)-1].round+1)
	sums := map[string]*Pass{}
	for i, x := range plan {
		if s.options.Progress != nil {
			s.options.Progress(i, len(plan), x.pass, left)
		}
		edges, err := s.slice(ctx, x)
		if err != nil {
			return nil, err
		}
		left -= x.length
		sum := sums[x.pass]
		if sum == nil {
			sum = &Pass{Name: x.pass}
			sums[x.pass] = sum
		}
		sum.Slices++
		sum.Seconds += edges.seconds
		sum.Bytes += edges.bytes
		if rates[x.round] == nil {
			rates[x.round] = map[string]float64{}
		}
		rates[x.round][x.pass] = float64(edges.bytes) / edges.seconds
		if s.over() {
			p.warn("cut-short", "the load ended after %d of %d slices", i+1, len(plan))
			break
		}
	}
	if s.options.Progress != nil {
		s.options.Progress(len(plan), len(plan), "", 0)
	}
	for _, x := range passes {
		if sum := sums[x.name]; sum != nil {
			sum.ThroughputBitsPerSecond = 8 * float64(sum.Bytes) / sum.Seconds
			sum.Gain = gain(x.name, rates)
			p.Passes = append(p.Passes, *sum)
		}
	}
	p.Seconds = float64(clock.Now()-began) / 1e9
	return p, s.finish(p)
}

// addTo adds counters to those of a pass, divided by a number.
func addTo(sums map[string]map[string]uint64, pass string, counters map[string]uint64, by uint64) {
	if sums[pass] == nil {
		sums[pass] = map[string]uint64{}
	}
	for name, n := range counters {
		sums[pass][name] += n / by
	}
}

// over tells whether the load has ended.
func (s *session) over() bool {
	select {
	case <-s.options.Until:
		return true
	default:
		return false
	}
}

// gain compares a pass with nothing, round by round.
func gain(pass string, rates []map[string]float64) *stats.Comparison {
	if pass == PassOff {
		return nil
	}
	var ratios []float64
	for _, r := range rates {
		if r[pass] > 0 && r[PassOff] > 0 {
			ratios = append(ratios, r[pass]/r[PassOff])
		}
	}
	c, err := stats.PairedGain(ratios, stats.DefaultConfidence)
	if err != nil { // nothing was carried
		return nil
	}
	return &c
}

// edges is what lies between the edges of a slice.
type edges struct {
	seconds float64
	bytes   uint64
}

// slice switches a pass on, waits, and switches it off. Switching is outside of the
// edges.
func (s *session) slice(ctx context.Context, x slice) (e edges, err error) {
	if err := s.meter.look(); err != nil {
		return e, err
	}
	if err := s.start(x.pass); err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, s.stop(x.pass)) }()
	begin, err := s.edge(x.pass)
	if err != nil {
		return e, err
	}
	select {
	case <-ctx.Done():
		return e, context.Cause(ctx)
	case <-s.options.Until:
	case <-time.After(x.length):
	}
	end, err := s.edge(x.pass)
	if err != nil {
		return e, err
	}
	e.seconds = float64(end.time-begin.time) / 1e9
	if end.kernel.bytes > begin.kernel.bytes {
		e.bytes = end.kernel.bytes - begin.kernel.bytes
	}
	addTo(s.grown, x.pass, host.Difference(begin.kernel.counters, end.kernel.counters), 1)
	addTo(s.slack, x.pass, begin.slack, 2)
	addTo(s.slack, x.pass, end.slack, 2)
	return e, s.account(x.pass, begin, end)
}
