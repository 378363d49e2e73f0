package ustack_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestBuffers sets them small, with nobody reading: no more than they hold is taken.
func TestBuffers(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) { c.TCP.ReceiveBuffer = 64 << 10 })
	c1, c2 := connect(t, a, b, hostB)
	defer c1.Close()
	defer c2.Close()
	if err := errors.Join(c1.SetWriteBuffer(32<<10), c2.SetReadBuffer(16<<10)); err != nil {
		t.Fatal(err)
	}
	_ = c1.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := c1.Write(make([]byte, 1<<20))
	// The peer was promised 64 KiB before.
	if err == nil || n > 32<<10+64<<10 || n < 32<<10 {
		t.Errorf("%d bytes were taken, %v", n, err)
	}
	for _, err := range []error{c1.SetReadBuffer(0), c1.SetWriteBuffer(-1)} {
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("no size: %v", err)
		}
	}
}

func TestCongestionAndPacing(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	if err := errors.Join(c1.SetCongestion(ustack.NewReno), c1.SetPacing(true, 4<<20)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	exchange(t, c1, c2, 1<<20)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("1 MiB at 4 MiB/s took %v", took)
	}
	_, _ = c1.Close(), c2.Close()
	if c1.SetCongestion(9) == nil || c1.SetPacing(true, 1) == nil {
		t.Error("a closed connection, or an algorithm that is none, was set")
	}
}

// TestLinger: with 0 Close resets.
func TestLinger(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	if err := errors.Join(c1.SetLinger(-1), c1.SetLinger(0), c1.Close()); err != nil {
		t.Fatal(err)
	}
	_ = c2.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c2.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if err := c1.SetLinger(0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	_ = c2.Close()
}
