package pipe

import (
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// TestWaitWithFramesLeft takes some of the frames that have arrived: it must not have to wait for
// the others.
func TestWaitWithFramesLeft(t *testing.T) {
	a, b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	from, err := a.Open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := b.Open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := from.Send([]*frame.Frame{frame.Of([]byte{1}), frame.Of([]byte{2})}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for i := range byte(2) {
		done := make(chan error, 1)
		go func() { done <- to.Wait(-1) }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("frame %d is there, and Wait waits", i+1)
		}
		var one [1]*frame.Frame
		if n, err := to.Receive(one[:]); n != 1 || err != nil || one[0].Bytes()[0] != i+1 {
			t.Fatal(n, err)
		}
	}
}
