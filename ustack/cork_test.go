package ustack_test

import (
	"io"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestKeptBytesLeave writes in streams that end in a segment that is not full, and then
// says no more: all must come, though the connection stays open.
func TestKeptBytesLeave(t *testing.T) {
	for name, p := range map[string]pipe.Config{"ip": {}, "segments": {SegmentSize: 61440}} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, p, func(c *ustack.Config) { c.TCP.Corking = true })
			c1, c2 := connect(t, a, b, hostB)
			defer c1.Close()
			defer c2.Close()
			_ = c2.SetReadDeadline(time.Now().Add(30 * time.Second))
			got := make([]byte, 20*5000)
			for round := 0; a.Counters()["TcpExtTCPAutoCorking"] < 10 || round < 20; round++ {
				if round == 1000 {
					t.Fatal("no bytes were kept")
				}
				for range 20 {
					if _, err := c1.Write(got[:5000]); err != nil {
						t.Fatal(err)
					}
				}
				if n, err := io.ReadFull(c2, got); err != nil {
					t.Fatalf("%d of %d bytes: %v", n, len(got), err)
				}
			}
		})
	}
}

// TestAnswersAreNotKept: an application that answers, if with more than a segment, is not
// held up.
func TestAnswersAreNotKept(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) { c.TCP.Corking = true })
	c1, c2 := connect(t, a, b, hostB)
	defer c1.Close()
	defer c2.Close()
	buf := make([]byte, 5000)
	for range 100 {
		for _, way := range [][2]*ustack.TCPConn{{c1, c2}, {c2, c1}} {
			if _, err := way[0].Write(buf); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := a.Counters()["TcpExtTCPAutoCorking"]; n > 0 {
		t.Errorf("bytes were kept %d times", n)
	}
}
