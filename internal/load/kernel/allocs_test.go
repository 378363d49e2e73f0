package kernel

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestNoAllocation sends and receives over each kind of transport: workers collect no garbage, so
// their hot path must make none.
func TestNoAllocation(t *testing.T) {
	for name, f := range map[string]load.FlowSpec{
		"tcp":      {MessageBytes: 1000},
		"sendfile": {MessageBytes: 8192, SendMethod: load.Sendfile, ReceiveMethod: load.Truncate},
		"zerocopy": {MessageBytes: 8192, SendMethod: load.ZeroCopy, ReceiveMethod: load.ZeroCopy},
		"udp":      {Transport: load.UDP, MessageBytes: 1000},
		"bunches":  {Transport: load.UDP, MessageBytes: 4000, SegmentBytes: 1000, Batch: 2, GRO: true},
	} {
		t.Run(name, func(t *testing.T) {
			f.Token, f.Local = load.NewToken(), netip.MustParseAddrPort("127.0.0.1:0")
			l, err := Engine{}.Listen(&f)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client := f
			client.Local = netip.AddrPort{}
			o := load.DialOptions{Timeout: 2 * time.Second, Numbered: true}
			dialed := make(chan load.Transport, 1)
			go func() {
				c, err := Engine{}.Dial(&client, 0, l.Address(), o)
				if err != nil {
					t.Error(err)
				}
				dialed <- c
			}()
			_, s, err := l.Accept(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := <-dialed
			if c == nil {
				return
			}
			defer c.Close()
			out, in := make([]byte, f.MessageBytes*max(1, f.Batch)), make([]byte, max(1, f.Batch)<<16)
			if n := testing.AllocsPerRun(100, func() {
				for left := len(out); left > 0; {
					n, errno := c.Send(out[len(out)-left:])
					if errno != 0 {
						t.Fatalf("send: %v", errno)
					}
					left -= n
				}
				for left := len(out); left > 0; {
					n, errno := s.Recv(in)
					if errno != 0 && errno != unix.EAGAIN {
						t.Fatalf("receive: %v", errno)
					}
					left -= n
				}
			}); n != 0 {
				t.Errorf("%v allocations a message", n)
			}
		})
	}
}
