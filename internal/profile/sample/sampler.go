package sample

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// DefaultFrequency is samples per second and CPU, off the beat of a 100 or 250 Hz
// tick. An interrupt costs 15 to 24 us in a virtual machine.
const DefaultFrequency = 99

// ringPages is a CPU's ring: a sample has at most some 2 KiB, so that it holds more
// than a second at 99 Hz and is read ten times as often.
const (
	ringPages = 64
	readEvery = 100 * time.Millisecond
)

// Sampler samples every CPU it was opened for.
type Sampler struct {
	rings []*ring

	mu      sync.Mutex
	records Records
	err     error

	stop context.CancelFunc
	done chan struct{}
}

// Event is what samples are taken by.
type Event struct {
	Type   uint32 // PERF_TYPE_ of include/uapi/linux/perf_event.h, or a PMU's number in sysfs
	Config uint64
	// Frequency is samples per second and CPU. Where it is 0, a sample is taken every Period
	// events, which tells how many events there were.
	Frequency int
	Period    uint64
}

// Clock is the kernel's clock, which every machine has.
func Clock(frequency int) Event {
	return Event{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Frequency: frequency}
}

// Open makes the events, not yet running. The error is a [host.NotSupportedError] where this process may not sample.
func Open(cpus []int, e Event) (*Sampler, error) {
	s := &Sampler{}
	for _, cpu := range cpus {
		r, err := openRing(cpu, e)
		switch {
		case errors.Is(err, unix.ENODEV): // went offline
			continue
		case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
			s.Close()
			return nil, &host.NotSupportedError{
				What: "sampling of every CPU", Reason: "this process may not look at others and the kernel (perf_event_open: " + err.Error() + ")",
				Mend: "run as root or with CAP_PERFMON",
			}
		case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL):
			s.Close()
			return nil, &host.NotSupportedError{What: "sampling by this event", Reason: "the kernel has no counter for it (perf_event_open: " + err.Error() + ")"}
		case err != nil:
			s.Close()
			return nil, fmt.Errorf("sample CPU %d: %w", cpu, err)
		}
		s.rings = append(s.rings, r)
	}
	return s, nil
}

// Start samples from now on.
func (s *Sampler) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		t := time.NewTicker(readEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				s.read()
			}
		}
	}()
	var errs []error
	for _, r := range s.rings {
		errs = append(errs, r.control(unix.PERF_EVENT_IOC_ENABLE))
	}
	return errors.Join(errs...)
}

// Stop ends the sampling and returns what was sampled since Start.
func (s *Sampler) Stop() (Records, error) {
	var errs []error
	for _, r := range s.rings {
		errs = append(errs, r.control(unix.PERF_EVENT_IOC_DISABLE))
	}
	s.stop()
	<-s.done
	s.read()
	out := s.records
	errs = append(errs, s.err)
	s.records, s.err = Records{}, nil
	return out, errors.Join(errs...)
}

func (s *Sampler) read() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rings {
		if err := r.read(&s.records); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// Close ends the events. A Sampler that was started must have been stopped.
func (s *Sampler) Close() error {
	var errs []error
	for _, r := range s.rings {
		errs = append(errs, r.close())
	}
	s.rings = nil
	return errors.Join(errs...)
}

func openRing(cpu int, e Event) (*ring, error) {
	attr := unix.PerfEventAttr{
		Type: e.Type, Config: e.Config,
		Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample:      e.Period,
		Sample_type: unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_CPU | unix.PERF_SAMPLE_CALLCHAIN,
		Bits:        unix.PerfBitDisabled | unix.PerfBitUseClockID | unix.PerfBitExcludeHv,
		Clockid:     unix.CLOCK_MONOTONIC,
		// No process is woken for the ring: it is read by time.
		Wakeup: 1 << 30,
	}
	if e.Frequency > 0 {
		attr.Sample = uint64(e.Frequency)
		attr.Bits |= unix.PerfBitFreq
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return mapRing(fd)
}
