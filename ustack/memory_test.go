package ustack_test

import (
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestSteadyStateAllocatesNothing moves 64 MiB and counts allocations.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which -short often comes with, allocates on its own")
	}
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	done := make(chan error, 1)
	move := func(n int) {
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(struct{ io.Reader }{c2}, int64(n)), make([]byte, 64<<10))
			done <- err
		}()
		buf := make([]byte, 64<<10)
		for sent := 0; sent < n; sent += len(buf) {
			if _, err := c1.Write(buf); err != nil {
				t.Error(err)
				break
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	move(64 << 20)      // buffers grow to what they need
	most := uint64(100) // a tenth of one for each write
	if raceEnabled {
		most = 800 // the detector's own: 300 to 500
	}
	// The runtime allocates at times, the more the busier the machine: what the stack itself does shows
	// in every pass.
	least := uint64(math.MaxUint64)
	for range 8 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		move(64 << 20)
		runtime.ReadMemStats(&after)
		if least = min(least, after.Mallocs-before.Mallocs); least <= most {
			return
		}
	}
	t.Errorf("at least %d allocations for 64 MiB, want %d at most", least, most)
}

// TestIdleConnections holds what an idle connection costs, beside its buffers, to 2 KiB
// of heap; with USTACK_ALL=1 in the environment, 100,000 of them.
func TestIdleConnections(t *testing.T) {
	n := 20_000
	if os.Getenv("USTACK_ALL") != "" {
		n = 50_000 // each has two ends here
	}
	if testing.Short() {
		n = 2000
	}
	a, b := pair(t, pipe.Config{Depth: 1 << 16}, func(c *ustack.Config) { c.TCP.Backlog = 1 << 16 })
	var ports [2]net.Listener // one has not ports enough for all
	for i := range ports {
		l, err := b.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, 0, 2*n)
	one := make([]byte, 1)
	for i := range n {
		l := ports[i%len(ports)]
		c, err := a.Dial(t.Context(), "tcp", net.JoinHostPort(hostB, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(one); err != nil { // it was in use once
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, one); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c, d)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(2*n)
	t.Logf("%.0f bytes of heap for each of %d ends", each, 2*n)
	if each > 2048 {
		t.Errorf("an idle connection holds %.0f bytes, more than 2048", each)
	}
	runtime.KeepAlive(conns)
}
