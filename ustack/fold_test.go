package ustack_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
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

// TestFoldedBehindTimestamps leaves a segment to the reader that TCP will refuse once it has
// seen the one before, which was sent again after it and so has a later timestamp (RFC 7323,
// 5.3). It is sent again then, and must come once.
func TestFoldedBehindTimestamps(t *testing.T) {
	st, r := attack(t, with(ustack.Techniques{Checksum: ustack.InReader}))
	l, err := st.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	h := wire.TCP{SrcPort: 50000, DstPort: 80, Seq: 7, Flags: wire.SYN, Window: 60000, Options: noOptions()}
	h.Options.Timestamps, h.Options.TSVal = true, 1000
	r.send(h, nil)
	h.Ack, h.Flags = r.receive(50000).Seq+1, wire.ACK
	h.Seq++
	r.send(h, nil)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	type result struct {
		got []byte
		err error
	}
	results := make(chan result, 1)
	go func() {
		for {
			p := make([]byte, 8)
			_, err := io.ReadFull(c, p)
			results <- result{p, err}
			if err != nil {
				return
			}
		}
	}()
	end := time.Now().Add(20 * time.Second)
	for i := 0; i < 50 || st.Counters()["UstackInFolded"] == 0 && time.Now().Before(end); i++ {
		time.Sleep(time.Millisecond) // for the reader to wait
		second := h
		h.Options.TSVal += 10
		second.Seq += 4
		r.sendAll(r.segment(h, []byte("abcd")), r.segment(second, []byte("efgh")))
		for r.receive(50000).Ack != h.Seq+8 {
			second.Options.TSVal = h.Options.TSVal
			r.send(second, []byte("efgh"))
		}
		h.Seq += 8
		if x := <-results; string(x.got) != "abcdefgh" || x.err != nil {
			t.Fatalf("%q, %v", x.got, x.err)
		}
	}
	if st.Counters()["UstackInFolded"] == 0 {
		t.Error("no segment was left to the reader")
	}
}
