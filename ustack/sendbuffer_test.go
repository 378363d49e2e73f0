package ustack_test

import (
	"io"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestNoStallOfAWriterAsItsBufferIsTuned writes through a send buffer whose limit follows the
// congestion window up, and down where bytes are lost, to a reader that stops now and then:
// each time the writer must be woken again (gVisor's #10243 was a writer that was not).
func TestNoStallOfAWriterAsItsBufferIsTuned(t *testing.T) {
	da, db, err := pipe.New(pipe.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := stack(t, fault.New(da, fault.Config{Seed: 3, Loss: 0.002, Jitter: 200 * time.Microsecond}), hostA, hostA6, func(c *ustack.Config) {
		c.TCP.SendBufferMax = 512 << 10
	})
	b := stack(t, db, hostB, hostB6)
	c1, c2 := connect(t, a, b, hostB)
	const size = 12 << 20
	written := make(chan error, 1)
	go func() {
		piece := make([]byte, 700_000) // more than the buffer ever holds
		var err error
		for n := 0; n < size && err == nil; n += len(piece) {
			_ = c1.SetWriteDeadline(time.Now().Add(20 * time.Second))
			_, err = c1.Write(piece[:min(len(piece), size-n)])
		}
		if err == nil {
			err = c1.CloseWrite()
		}
		written <- err
	}()
	p := make([]byte, 64<<10)
	got := 0
	for reads := 0; ; reads++ {
		_ = c2.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c2.Read(p)
		if got += n; err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		if reads%64 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err := <-written; err != nil || got != size {
		t.Errorf("%d of %d bytes came, %v", got, size, err)
	}
}
