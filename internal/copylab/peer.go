package copylab

import (
	"fmt"
	"runtime"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/memcopy"
)

// peer is a thread on another CPU that writes or sums packets when asked, while the
// asking CPU waits.
type peer struct {
	work chan func()
	done chan struct{}
	turn byte
}

func newPeer(cpu int) (*peer, error) {
	p := &peer{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		// Not unlocked: a thread whose affinity was changed ends with its goroutine.
		runtime.LockOSThread()
		defer close(p.done)
		err := sysx.SetAffinity(0, []int{cpu})
		ready <- err
		if err != nil {
			return
		}
		for f := range p.work {
			f()
			p.done <- struct{}{}
		}
	}()
	if err := <-ready; err != nil {
		<-p.done
		return nil, fmt.Errorf("copylab: no thread on CPU %d: %w", cpu, err)
	}
	return p, nil
}

func (p *peer) close() {
	close(p.work)
	<-p.done
}

// do runs f on the peer's CPU and waits.
func (p *peer) do(f func()) {
	p.work <- f
	<-p.done
}

// write has the peer write n bytes at each offset of mem.
func (p *peer) write(mem []byte, at []uint32, n int) {
	p.turn++
	p.do(func() {
		for _, o := range at {
			b := mem[o:][:n]
			for i := 0; i < n; i += 64 {
				b[i] = p.turn
			}
			b[n-1] = p.turn
		}
	})
}

// sum has the peer sum the packets and returns the ticks that it took.
func (p *peer) sum(mem []byte, at []uint32, n int) (ticks uint64) {
	p.do(func() {
		var s uint64
		t := cycles.Start()
		for _, o := range at {
			s += uint64(memcopy.Sum(mem[o:][:n]))
		}
		ticks = cycles.Stop() - t
		p.turn += byte(s) & 1
	})
	return ticks
}
