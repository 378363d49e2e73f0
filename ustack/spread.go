package ustack

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// spreading is what [Spread] needs: a thread on each CPU, to which the shards deal their
// packets out in turn.
type spreading struct {
	threads []chan dealt
	running sync.WaitGroup
}

// dealt is a packet on its way to a thread, and the shard whose queue it came by.
type dealt struct {
	s *shard
	f *frame.Frame
}

// dealtMax is how many packets may wait for a thread (Linux: netdev_max_backlog).
const dealtMax = 1000

// startSpreading starts a thread on each CPU that the process may use.
func startSpreading() (*spreading, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("ustack: spread packets over CPUs: sched_getaffinity: %w", err)
	}
	p := &spreading{}
	for cpu := range len(allowed) * 64 {
		if !allowed.IsSet(cpu) {
			continue
		}
		in := make(chan dealt, dealtMax)
		p.threads = append(p.threads, in)
		p.running.Go(func() {
			runtime.LockOSThread() // for good: a thread with an affinity of its own ends with the goroutine
			var one unix.CPUSet
			one.Set(cpu)
			// The CPU may have gone offline since: then the thread runs on any.
			_ = unix.SchedSetaffinity(0, &one)
			var bunch [1]*frame.Frame
			for d := range in {
				bunch[0] = d.f
				d.s.takeDealt(bunch[:])
			}
		})
	}
	return p, nil
}

// stop ends the threads, after the shards that deal have ended.
func (p *spreading) stop() {
	if p == nil {
		return
	}
	for _, in := range p.threads {
		close(in)
	}
	p.running.Wait()
}

// deal gives frames to the threads in turn. The shard is in hand.
func (s *shard) deal(frames []*frame.Frame) {
	threads := s.st.spread.threads
	for i, f := range frames {
		frames[i] = nil
		s.counters[rxDealt]++
		select {
		case threads[s.counters[rxDealt]%uint64(len(threads))] <- dealt{s, f}:
		default:
			s.drop(f, rxBacklog)
		}
	}
}

// takeDealt takes one packet through the layers, on whichever thread.
func (s *shard) takeDealt(one []*frame.Frame) {
	if s.st.cfg.Techniques.Checksum == OnArrival {
		s.st.verifyEarly(one[0])
	}
	s.mu.Lock()
	defer s.unlock()
	s.receive(one, s.st.now())
	s.settle()
}

// verifyEarly verifies the checksum of a TCP segment without the shard. One that is wrong,
// or in a packet that is, is left to be found again.
func (st *Stack) verifyEarly(f *frame.Frame) {
	b := f.Bytes()
	if st.info.Link == LinkEthernet {
		if _, fault := wire.ParseEthernet(b); fault != wire.OK {
			return
		}
		b = b[wire.EthernetLen:]
	}
	var h wire.IP
	if f.Offload.Checksum != frame.ChecksumFull || wire.ParseIP(&h, b) != wire.OK || h.Proto != wire.ProtoTCP || h.IsFragment() {
		return
	}
	b = b[h.HeaderLen:h.Length]
	p := wire.Pseudo(&h.Src, &h.Dst, h.Proto, len(b))
	if p.Add(b); p.Fold() == 0xffff {
		f.Offload.Checksum = frame.ChecksumVerified
	}
}
