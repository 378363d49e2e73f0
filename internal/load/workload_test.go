package load_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// both makes the two ends of a load on loopback.
func both(workload, engine string, model load.Model, f load.FlowSpec) (server, client load.Spec) {
	f.Token, f.CPU = load.NewToken(), -1
	f.Local = netip.MustParseAddrPort("127.0.0.1:0")
	server = load.Spec{Role: load.Server, Workload: workload, Engine: engine, Model: model, Threads: 2, Flows: []load.FlowSpec{f}, Lifetime: time.Minute}
	client = server
	client.Role = load.Client
	f.Local = netip.AddrPort{}
	client.Flows = []load.FlowSpec{f}
	return server, client
}

// TestWorkloads runs every workload under every model and holds the two ends' counts
// against each other once both have ended.
func TestWorkloads(t *testing.T) {
	for _, workload := range []string{"stream", "maerts", "bidir", "rr", "crr"} {
		for _, model := range []load.Model{load.Process, load.Thread, load.Epoll} {
			t.Run(fmt.Sprint(workload, "-", model), func(t *testing.T) {
				server, client := both(workload, "kernel", model, load.FlowSpec{Count: 5, MessageBytes: 100, ResponseBytes: 300, NoDelay: true})
				p := start(t, server, client)
				p.run(t)
				samples, err := p.client.Table.Sample(t.Context(), load.Window{Length: 100 * time.Millisecond, Interval: 20 * time.Millisecond}, still)
				if err != nil {
					t.Fatal(err)
				}
				first, second := p.client, p.server
				if load.Workloads[workload].First() == load.Server {
					first, second = second, first
				}
				for _, pool := range []*load.Pool{first, second} {
					ends, err := pool.Stop(t.Context(), time.Second)
					if err != nil {
						t.Fatal(err)
					}
					if len(ends) != 5 {
						t.Errorf("%d flows ended, want 5", len(ends))
					}
					for _, e := range ends {
						if e.Error != "" {
							t.Errorf("end of flow %d: %s", e.ID, e.Error)
						}
					}
				}
				var s, c load.Tally
				for i := range 5 {
					here, there := p.server.Table.Slot(i).Read(), p.client.Table.Slot(i).Read()
					if here.Bytes() == 0 && workload != "crr" || there.Bytes() == 0 {
						t.Errorf("flow %d carried nothing: %+v, %+v", i, here, there)
					}
					s.Add(here)
					c.Add(there)
				}
				if workload != "bidir" && (s.Received != c.Sent || s.Sent != c.Received) {
					t.Errorf("the server received %d and sent %d bytes, the client sent %d and received %d", s.Received, s.Sent, c.Sent, c.Received)
				}
				window := samples.Totals[len(samples.Totals)-1].Since(samples.Totals[0])
				switch workload {
				case "rr", "crr":
					n := samples.Latency.Count()
					slack := 5 + window.Transactions/50 // the counts are read one after the other
					if n == 0 || n > window.Transactions+slack || n+slack < window.Transactions {
						t.Errorf("%d latencies of %d transactions in the window", n, window.Transactions)
					}
					if c.Transactions == 0 || c.Received != 300*c.Transactions || s.Transactions < c.Transactions {
						t.Errorf("client %+v, server %+v", c, s)
					}
				default:
					if samples.Latency != nil {
						t.Error("a latency of what has none")
					}
				}
			})
		}
	}
}

// TestBurst keeps several requests under way on each connection.
func TestBurst(t *testing.T) {
	for _, model := range []load.Model{load.Thread, load.Epoll} {
		server, client := both("rr", "kernel", model, load.FlowSpec{MessageBytes: 1, Burst: 16, NoDelay: true})
		p := start(t, server, client)
		p.run(t)
		samples, err := p.client.Table.Sample(t.Context(), load.Window{Length: 100 * time.Millisecond, Interval: 100 * time.Millisecond}, still)
		if err != nil {
			t.Fatal(err)
		}
		n := samples.Count(0)
		// At an edge of the window, what one call received may not have been told apart yet.
		if n.Transactions < 100 || n.Received+16 < n.Transactions || n.Transactions+16 < n.Received {
			t.Errorf("%s: %+v", model, n)
		}
		p.stop(t)
	}
}

// TestRate begins transactions at a rate, and counts latency from when each should have
// begun.
func TestRate(t *testing.T) {
	for _, workload := range []string{"stream", "rr", "crr"} {
		for _, model := range []load.Model{load.Thread, load.Epoll} {
			t.Run(fmt.Sprint(workload, "-", model), func(t *testing.T) {
				server, client := both(workload, "kernel", model, load.FlowSpec{Count: 3, MessageBytes: 10, Rate: 200, NoDelay: true})
				server.Flows[0].Rate = 0
				p := start(t, server, client)
				p.run(t)
				samples, err := p.client.Table.Sample(t.Context(), load.Window{Length: 500 * time.Millisecond, Interval: 100 * time.Millisecond}, still)
				if err != nil {
					t.Fatal(err)
				}
				var n uint64
				for i := range 3 {
					n += samples.Count(i).SentMessages
				}
				if n < 60 || n > 330 { // a busy machine begins late, none begins more
					t.Errorf("%d begun in 500 ms by 3 flows at 200 a second each, want about 300", n)
				}
				if got := samples.Latency.Count(); got < 60 || got > 330 {
					t.Errorf("%d latencies", got)
				}
				p.stop(t)
			})
		}
	}
}

// TestManyFlows runs thousands of connections on two threads.
func TestManyFlows(t *testing.T) {
	const flows = 3000
	server, client := both("rr", "kernel", load.Epoll, load.FlowSpec{Count: flows, MessageBytes: 1, NoDelay: true})
	p := start(t, server, client)
	p.run(t)
	for f, end := 0, time.Now().Add(10*time.Second); f < flows; {
		switch {
		case p.client.Table.Slot(f).Read().Transactions > 0:
			f++
		case time.Now().After(end):
			t.Fatalf("flow %d has done nothing", f)
		default:
			time.Sleep(time.Millisecond)
		}
	}
	p.stop(t)
}
