package ustack_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestShutdownKeepsWhatWasWritten shuts a stack down right after a short answer, and after
// several writes: the peer gets all of it, and then the end.
func TestShutdownKeepsWhatWasWritten(t *testing.T) {
	for range 20 {
		a, b := pair(t, pipe.Config{})
		c1, c2 := connect(t, a, b, hostB)
		answered := make(chan error, 1)
		go func() {
			_, _ = io.ReadFull(c2, make([]byte, 8))
			for range 6 {
				_, _ = c2.Write(make([]byte, 5000))
			}
			_, _ = c2.Write([]byte("answer"))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			answered <- b.Shutdown(ctx)
		}()
		if _, err := c1.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		_ = c1.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(c1)
		if err != nil || len(got) != 6*5000+6 {
			t.Fatalf("%d bytes came, %v", len(got), err)
		}
		_ = c1.Close()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
}

// TestSilentNeighbours sends to many stations that are not there: what waits for their
// addresses must leave frames for others, and go in the end.
func TestSilentNeighbours(t *testing.T) {
	a, b := pair(t, pipes["segments-l2"])
	from, err := a.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for i := range 250 {
		to := &net.UDPAddr{IP: net.IPv4(10, 1, 0, byte(3+i%250)), Port: 9}
		for range 64 {
			if _, err := from.WriteTo(make([]byte, 100), to); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := a.Counters()["UstackOutNoFrame"]; n > 0 {
		t.Errorf("%d packets found no frame", n)
	}
	c1, c2 := connect(t, a, b, hostB)
	exchange(t, c1, c2, 1<<20)
	_, _ = c1.Close(), c2.Close()
}
