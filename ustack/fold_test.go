package ustack_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
)

// TestFoldedOnce has short messages, one at a time, come to a reader that waits for them
// and sums them itself. Each must come once: TCP gets the bytes too late to keep them from
// the reader, and moves short payloads out of large frames.
func TestFoldedOnce(t *testing.T) {
	for _, link := range []string{"ip", "jumbo"} {
		t.Run(link, func(t *testing.T) {
			a, b := pair(t, pipes[link], with(ustack.Techniques{Checksum: ustack.InReader}))
			c1, c2 := connect(t, a, b, hostB)
			defer c1.Close()
			defer c2.Close()
			type result struct {
				got string
				err error
			}
			for i := 0; b.Counters()["UstackInFolded"] == 0; i++ {
				if i == 10000 {
					t.Fatal("no segment was left to a reader")
				}
				results := make(chan result)
				go func() {
					p := make([]byte, 100)
					n, err := c2.Read(p)
					results <- result{string(p[:n]), err}
				}()
				time.Sleep(time.Millisecond) // for the reader to wait; if it does not, the next one may
				if _, err := c1.Write([]byte("once")); err != nil {
					t.Fatal(err)
				}
				if r := <-results; r.got != "once" || r.err != nil {
					t.Fatalf("read %q, %v", r.got, r.err)
				}
			}
			_ = c2.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			p := make([]byte, 100)
			if n, err := c2.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q came again, %v", p[:n], err)
			}
		})
	}
}
