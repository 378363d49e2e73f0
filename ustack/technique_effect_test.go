package ustack_test

import (
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// watched is a device that keeps the longest bunch that it was given to send.
type watched struct {
	ustack.Device
	longest *atomic.Int64
}

type watchedQueue struct {
	ustack.Queue
	longest *atomic.Int64
}

func (d watched) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	q, err := d.Device.Open(i, pool)
	return watchedQueue{q, d.longest}, err
}

func (q watchedQueue) Send(frames []*frame.Frame) (int, error) {
	q.longest.Store(max(q.longest.Load(), int64(len(frames))))
	return q.Queue.Send(frames)
}

// effects is what a stream shows of the switches.
type effects struct {
	longest         int64 // bunch sent
	aligned, copies int64 // copies to the reader of a full segment
	segments        uint64
	acknowledged    uint64 // segments that the receiver sent
	spread          uint64
}

func observe(t *testing.T, p pipe.Config, v4 bool, tech ustack.Techniques) (e effects) {
	t.Helper()
	da, db, err := pipe.New(p)
	if err != nil {
		t.Fatal(err)
	}
	var longest, aligned, copies atomic.Int64
	around := func(cfg *ustack.Config) {
		if !v4 {
			cfg.Addresses = cfg.Addresses[1:]
		}
		cfg.AroundCopy = func(_ bool, plain func(dst, src []byte) int) func(dst, src []byte) int {
			return func(dst, src []byte) int {
				if len(src) > 1000 && len(dst) >= len(src) {
					copies.Add(1)
					if uintptr(unsafe.Pointer(&src[0]))%64 == 0 {
						aligned.Add(1)
					}
				}
				return plain(dst, src)
			}
		}
	}
	a := stack(t, watched{da, &longest}, hostA, hostA6, with(tech), around)
	b := stack(t, db, hostB, hostB6, with(tech), around)
	to := hostB
	if !v4 {
		to = hostB6
	}
	c1, c2 := connect(t, a, b, to)
	const size = 2 << 20
	go func() {
		_, _ = c1.Write(make([]byte, size))
		_ = c1.Close()
	}()
	into := make([]byte, 1<<20) // so that few segments are read in two parts
	for got := 0; got < size; {
		k, err := c2.Read(into)
		if got += k; err != nil {
			t.Fatal(got, err)
		}
	}
	_ = c2.Close()
	n := b.Counters()
	return effects{longest.Load(), aligned.Load(), copies.Load(), n["TcpInSegs"], n["TcpOutSegs"], n["UstackSpread"]}
}

// TestTechniquesHaveEffect holds each switch against what it is to change.
func TestTechniquesHaveEffect(t *testing.T) {
	plain := observe(t, pipe.Config{}, true, ustack.Techniques{})
	if plain.aligned > 0 || plain.copies == 0 || plain.spread > 0 || plain.longest < 2 {
		t.Errorf("nothing switched: %+v", plain)
	}
	for _, link := range []string{"ip", "ethernet", "jumbo", "segments"} {
		for _, v4 := range []bool{true, false} {
			if e := observe(t, pipes[link], v4, ustack.Techniques{Align: true}); e.aligned == 0 || e.aligned < e.copies*9/10 {
				t.Errorf("aligned, %s, IPv4 %v: %+v", link, v4, e)
			}
		}
	}
	if e := observe(t, pipe.Config{}, true, ustack.Techniques{ACKs: ustack.ACKSecond}); e.acknowledged < e.segments*4/10 {
		t.Errorf("every second acknowledged: %+v", e)
	}
	if e := observe(t, pipe.Config{}, true, ustack.Techniques{Bunch: 3}); e.longest != 3 {
		t.Errorf("bunches of 3: %+v", e)
	}
	if e := observe(t, pipe.Config{}, true, ustack.Techniques{Locality: ustack.Spread}); e.spread < e.segments {
		t.Errorf("spread: %+v", e)
	}
}
