package profile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"github.com/stackmeter/stackmeter/internal/profile/count"
	"github.com/stackmeter/stackmeter/internal/profile/flow"
	"github.com/stackmeter/stackmeter/internal/profile/lock"
	"github.com/stackmeter/stackmeter/internal/profile/sample"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

// session is what a profile has open.
type session struct {
	options Options
	names   []string // the passes that can be had
	cpus    []int
	kernel  string
	limits  []Limit

	meter   *meter
	cpu     *cpu.Probe
	sampler *sample.Sampler
	counter *count.Counter
	flows   *flow.Tracer
	locks   *lock.Tracer

	samples gathered
	events  []*eventSampler
	turn    int                          // of the event whose slice is next
	counted map[string]*count.Counts     // by pass, over its slices
	grown   map[string]map[string]uint64 // by pass: the kernel's own counters
	slack   map[string]map[string]uint64 // by pass: half of what these grew while they were read
	closed  bool
}

// open opens whatever can be had here, and notes what can't.
func open(ctx context.Context, o Options) (_ *session, err error) {
	s := &session{options: o, counted: map[string]*count.Counts{}, grown: map[string]map[string]uint64{}, slack: map[string]map[string]uint64{}}
	s.samples.init()
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.cpus, err = host.Live().CPUsOnline(); err != nil {
		return s, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		s.kernel = unix.ByteSliceToString(u.Release[:])
	}
	if o.PIDs != nil {
		s.meter, err = namespacesOf("/proc", o.PIDs)
	} else {
		s.meter, err = allNamespaces("/proc")
	}
	if err != nil {
		return s, err
	}
	if o.Load != nil {
		if s.samples.load, err = namespacesOf("/proc", o.Load); err != nil {
			return s, err
		}
	}
	if s.cpu, err = s.openCPU(ctx); err != nil {
		return s, err
	}
	s.names = []string{PassOff}
	for _, p := range passes[1:] {
		if o.Passes != nil && !slices.Contains(o.Passes, p.name) {
			continue
		}
		err := s.openPass(p.name)
		var no *host.NotSupportedError
		switch {
		case errors.As(err, &no):
			s.limits = append(s.limits, Limit{What: "pass " + p.name + ": " + no.What, Why: no.Reason, Mend: no.Mend})
		case err != nil:
			return s, err
		default:
			s.names = append(s.names, p.name)
		}
	}
	return s, nil
}

func (s *session) openCPU(ctx context.Context) (*cpu.Probe, error) {
	p, missing, err := cpu.Open(ctx, cpu.Options{NoProcesses: true})
	for _, u := range missing {
		s.limits = append(s.limits, Limit{What: "exact CPU time (" + u.Source + ")", Why: u.Reason, Mend: u.Mend})
	}
	return p, err
}

func (s *session) openPass(pass string) (err error) {
	switch pass {
	case PassLight, PassFrame:
		if s.counter == nil {
			s.counter, err = count.Open()
			if err == nil {
				s.limits = append(s.limits, limits("counting", s.counter.Missing())...)
			}
		}
	case PassSample:
		if s.samples.names, err = symbol.ReadKernel(); errors.Is(err, symbol.ErrHidden) {
			return &host.NotSupportedError{What: "kernel symbols", Reason: err.Error(), Mend: "run as root"}
		}
		if err == nil {
			s.sampler, err = sample.Open(s.cpus, sample.Clock(s.options.Frequency))
		}
	case PassFlow:
		if s.flows, err = flow.Open(); err == nil {
			s.limits = append(s.limits, limits("locality", s.flows.Missing())...)
		}
	case PassLock:
		s.locks, err = lock.Open()
	case PassEvents:
		return s.openEvents()
	}
	return err
}

func (s *session) start(pass string) error {
	switch pass {
	case PassLight:
		return s.counter.Start(count.Light)
	case PassFrame:
		return s.counter.Start(count.Frame)
	case PassSample:
		return s.sampler.Start()
	case PassFlow:
		return s.flows.Start()
	case PassLock:
		return s.locks.Start()
	case PassEvents:
		return s.events[s.turn].sampler.Start()
	}
	return nil
}

func (s *session) stop(pass string) error {
	switch pass {
	case PassLight, PassFrame:
		return s.counter.Stop()
	case PassSample:
		r, err := s.sampler.Stop()
		s.samples.add(&r)
		return err
	case PassFlow:
		return s.flows.Stop()
	case PassLock:
		return s.locks.Stop()
	case PassEvents:
		return s.stopEvent()
	}
	return nil
}

// edge is one edge of a slice.
type edge struct {
	time   int64
	kernel reading
	slack  map[string]uint64 // by how much a kernel's counter grew while it was read
	counts *count.Counts     // in the passes that count
	cpu    cpu.Mark          // in the pass of samples
}

// edge reads what the pass needs.
func (s *session) edge(pass string) (e edge, err error) {
	if pass == PassSample {
		if e.cpu, err = s.cpu.Mark(); err != nil {
			return e, err
		}
	}
	e.time = clock.Now()
	if e.kernel, err = s.meter.read(); err != nil {
		return e, err
	}
	if pass == PassLight || pass == PassFrame {
		return e, s.bracket(&e)
	}
	return e, nil
}

// bracket reads the programs' counters between two readings of the kernel's, and takes
// the mean of these: reading takes long enough to matter.
func (s *session) bracket(e *edge) (err error) {
	if e.counts, err = s.counter.Read(); err != nil {
		return err
	}
	after, err := machineCounters(s.meter.proc)
	e.slack = host.Difference(e.kernel.counters, after)
	for name, n := range e.slack {
		e.kernel.counters[name] += n / 2
	}
	return err
}

// account adds a slice to its pass.
func (s *session) account(pass string, begin, end edge) error {
	switch pass {
	case PassLight, PassFrame:
		d := end.counts.Since(begin.counts)
		if sum := s.counted[pass]; sum != nil {
			d = sum.Add(d)
		}
		s.counted[pass] = d
	case PassSample:
		u, _, err := cpu.Usage(begin.cpu, end.cpu, nil)
		if err != nil {
			return fmt.Errorf("CPU time of a slice: %w", err)
		}
		s.samples.addCPU(u)
	case PassEvents:
		e := s.events[s.turn]
		e.seconds += float64(end.time-begin.time) / 1e9
		if end.kernel.bytes > begin.kernel.bytes {
			e.samples.bytes += end.kernel.bytes - begin.kernel.bytes
		}
	}
	return nil
}

// close unloads everything. It may be called twice.
func (s *session) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, m := range []*meter{s.meter, s.samples.load} {
		if m != nil {
			errs = append(errs, m.close())
		}
	}
	if s.cpu != nil {
		errs = append(errs, s.cpu.Close())
	}
	if s.sampler != nil {
		errs = append(errs, s.sampler.Close())
	}
	for _, e := range s.events {
		errs = append(errs, e.sampler.Close())
	}
	if s.counter != nil {
		errs = append(errs, s.counter.Close())
	}
	if s.flows != nil {
		errs = append(errs, s.flows.Close())
	}
	if s.locks != nil {
		errs = append(errs, s.locks.Close())
	}
	return errors.Join(errs...)
}
