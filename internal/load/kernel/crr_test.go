package kernel

import (
	"crypto/rand"
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestStrangersOfCRR has strangers at the server all the time: silent ones, some that say a byte
// at a time, some that say the wrong thing, some that reset. The client's transactions go on
// and nothing of theirs is counted.
func TestStrangersOfCRR(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			stop, ended := make(chan struct{}), make(chan struct{})
			meet = func(address string) {
				go func() {
					defer close(ended)
					harass(address, stop)
				}()
			}
			defer func() { meet = nil }()
			// With one thread a flow, each stranger holds one for a while: let there be more.
			r, err := try(t, "crr", model, load.FlowSpec{Count: 6, MessageBytes: 100, ResponseBytes: 50}, nil)
			close(stop)
			<-ended
			if err != nil {
				t.Fatal(err)
			}
			if r.client.Transactions < 20 {
				t.Errorf("%d transactions beside strangers", r.client.Transactions)
			}
			if r.server.Received != 100*r.server.Transactions || r.server.Transactions != r.client.Transactions {
				t.Errorf("server %+v, client %+v", r.server, r.client)
			}
		})
	}
}

// harass is a few strangers, again and again.
func harass(address string, stop <-chan struct{}) {
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		switch open = append(open, c); i % 4 {
		case 0: // silent
		case 1:
			_, _ = c.Write(noise[:1])
		case 2:
			_, _ = c.Write(noise)
		case 3:
			_, _ = c.Write(noise[:20])
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
		if len(open) > 20 {
			open[0].Close()
			open = open[1:]
		}
	}
}
