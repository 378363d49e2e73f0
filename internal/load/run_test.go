package load_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: engines.Worker})
	os.Exit(m.Run())
}

// pair is both ends of a run on loopback.
type pair struct {
	server, client *load.Pool
	workload       string
}

func specs(engine string, model load.Model, flows, message int) (server, client load.Spec) {
	server = load.Spec{Role: load.Server, Workload: "stream", Engine: engine, Model: model, Lifetime: time.Minute}
	for i := range flows {
		server.Flows = append(server.Flows, load.FlowSpec{
			ID: i, NIC: i % 2, Local: netip.MustParseAddrPort("127.0.0.1:0"), Token: load.NewToken(),
			MessageBytes: message, SendBufferBytes: 65536, ReceiveBufferBytes: 65536, NoDelay: true, Congestion: "cubic", CPU: -1,
		})
	}
	client = server
	client.Role = load.Client
	client.Flows = append([]load.FlowSpec(nil), server.Flows...)
	for i := range client.Flows {
		client.Flows[i].Local = netip.AddrPort{}
	}
	return server, client
}

func start(t *testing.T, server, client load.Spec) *pair {
	t.Helper()
	ctx := t.Context()
	s, err := load.Start(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	to, err := s.Addresses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load.Start(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Addresses(ctx); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- s.Connect(ctx, nil) }()
	if err := c.Connect(ctx, to); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return &pair{s, c, server.Workload}
}

func (p *pair) run(t *testing.T) {
	t.Helper()
	for _, pool := range []*load.Pool{p.server, p.client} {
		if err := pool.Go(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	// On a busy machine a flow may wait long for its first turn.
	for _, pool := range []*load.Pool{p.server, p.client} {
		payload := pool == p.client || p.workload != "crr"
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			n, err := pool.Table.Carrying(payload)
			if err != nil {
				t.Fatal(err)
			}
			if n == pool.Table.Len() {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d flows carried nothing in 10 s", pool.Table.Len()-n, pool.Table.Len())
			}
		}
	}
}

func (p *pair) stop(t *testing.T) (server, client []load.End) {
	t.Helper()
	client, err := p.client.Stop(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server, err = p.server.Stop(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// TestStreamCountsWhatArrives runs both models over real sockets and holds the
// receiver's count against the sender's once the stream has ended.
func TestStreamCountsWhatArrives(t *testing.T) {
	for _, model := range []load.Model{load.Process, load.Thread} {
		t.Run(string(model), func(t *testing.T) {
			server, client := specs("kernel", model, 4, 4096)
			p := start(t, server, client)
			p.run(t)
			// On a busy machine a flow may get no turn in a window; none goes without one for long.
			var silent []int
			for f := range server.Flows {
				silent = append(silent, f)
			}
			for end := time.Now().Add(20 * time.Second); len(silent) > 0; {
				if time.Now().After(end) {
					t.Fatalf("flows %v carried nothing in any window of 20 s", silent)
				}
				edges := 0
				samples, err := p.server.Table.Sample(t.Context(), load.Window{Length: 200 * time.Millisecond, Interval: 50 * time.Millisecond}, load.Observer{Edge: func(i int) error {
					edges += i + 1
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				if edges != 3 || len(samples.Due) != 5 {
					t.Errorf("edges %d, samples %d: want one call at each edge and 5 samples", edges, len(samples.Due))
				}
				silent = slices.DeleteFunc(silent, func(f int) bool { return samples.Count(f).Received > 0 })
			}
			serverEnds, clientEnds := p.stop(t)
			if len(serverEnds) != 4 || len(clientEnds) != 4 {
				t.Fatalf("%d and %d ends, want 4 and 4", len(serverEnds), len(clientEnds))
			}
			for f := range server.Flows {
				received := p.server.Table.Slot(f).Read().Received
				there := p.client.Table.Slot(f).Read()
				sent, messages := there.Sent, there.SentMessages
				if received != sent || sent != messages*4096 {
					t.Errorf("flow %d: received %d bytes, sent %d in %d messages", f, received, sent, messages)
				}
			}
			for _, e := range append(serverEnds, clientEnds...) {
				if e.Error != "" || e.Socket.Congestion != "cubic" || !e.Socket.NoDelay || e.Socket.ReceiveBufferBytes < 131072 {
					t.Errorf("end of flow %d: %+v", e.ID, e)
				}
			}
			wantProcesses := 2
			if model == load.Thread {
				wantProcesses = 1
			}
			if n := len(p.server.PIDs()); n != wantProcesses {
				t.Errorf("%d worker processes, want %d", n, wantProcesses)
			}
		})
	}
}

// still observes nothing.
var still = load.Observer{Edge: func(int) error { return nil }}

// TestNullEngine runs the loops with no socket: the tool's own ceiling.
func TestNullEngine(t *testing.T) {
	server, client := specs("null", load.Process, 1, 65536)
	p := start(t, server, client)
	p.run(t)
	samples, err := p.server.Table.Sample(t.Context(), load.Window{Length: 100 * time.Millisecond, Interval: 100 * time.Millisecond}, still)
	if err != nil {
		t.Fatal(err)
	}
	n := samples.Count(0)
	if n.ReceivedMessages == 0 {
		t.Errorf("no messages in %.3f s", n.Seconds)
	}
	t.Logf("%.1f million messages/s", float64(n.ReceivedMessages)/n.Seconds/1e6)
	p.stop(t)
	// A sample may fall between the two counts of a message; at the end they agree.
	if n := p.server.Table.Slot(0).Read(); n.Received != n.ReceivedMessages*65536 {
		t.Errorf("%d bytes in %d messages of 65536", n.Received, n.ReceivedMessages)
	}
}

// TestWholeMessages waits for messages, and is not kept by the token, which is
// shorter.
func TestWholeMessages(t *testing.T) {
	server, client := specs("kernel", load.Process, 1, 8192)
	server.Flows[0].LowWaterBytes = server.Flows[0].MessageBytes
	began := time.Now()
	p := start(t, server, client)
	if d := time.Since(began); d > 900*time.Millisecond {
		t.Errorf("connecting took %v: the token waited for a whole message", d)
	}
	p.run(t)
	samples, err := p.server.Table.Sample(t.Context(), load.Window{Length: 200 * time.Millisecond, Interval: 200 * time.Millisecond}, still)
	if err != nil {
		t.Fatal(err)
	}
	if n := samples.Count(0); n.Received < n.ReceivedMessages*8000 {
		t.Errorf("%d bytes in %d receive calls: not whole messages of 8192", n.Received, n.ReceivedMessages)
	}
	p.stop(t)
}

// TestPacing holds a sender to a rate.
func TestPacing(t *testing.T) {
	server, client := specs("kernel", load.Process, 1, 4096)
	const rate = 4 << 20
	client.Flows[0].PacingBytesPerSecond = rate
	p := start(t, server, client)
	p.run(t)
	time.Sleep(200 * time.Millisecond) // the buffers fill first
	samples, err := p.server.Table.Sample(t.Context(), load.Window{Length: 500 * time.Millisecond, Interval: 500 * time.Millisecond}, still)
	if err != nil {
		t.Fatal(err)
	}
	if n := samples.Count(0); float64(n.Received)/n.Seconds > 1.5*rate || n.Received == 0 {
		t.Errorf("%.0f bytes/s at a pacing rate of %d", float64(n.Received)/n.Seconds, rate)
	}
	p.stop(t)
}

// TestPinned reads the affinity of a flow's thread from outside the worker.
func TestPinned(t *testing.T) {
	server, client := specs("kernel", load.Process, 1, 1024)
	var online unix.CPUSet
	if err := unix.SchedGetaffinity(0, &online); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !online.IsSet(cpu) {
		cpu++
	}
	server.Flows[0].CPU = cpu
	p := start(t, server, client)
	var got unix.CPUSet
	if err := unix.SchedGetaffinity(p.server.Table.Slot(0).TID(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count() != 1 || !got.IsSet(cpu) {
		t.Errorf("affinity is not CPU %d alone: %v", cpu, got)
	}
}

// TestStrangerIsNotCounted connects without the token before the sender does.
func TestStrangerIsNotCounted(t *testing.T) {
	server, client := specs("kernel", load.Process, 1, 1024)
	ctx := t.Context()
	s, err := load.Start(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	addresses, err := s.Addresses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	at := addresses[0]
	stranger, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	c, err := load.Start(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Addresses(ctx); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- s.Connect(ctx, nil) }()
	if err := c.Connect(ctx, addresses); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	p := &pair{s, c, server.Workload}
	p.run(t)
	time.Sleep(20 * time.Millisecond)
	p.stop(t)
	received, sent := s.Table.Slot(0).Read().Received, c.Table.Slot(0).Read().Sent
	if received == 0 || received != sent {
		t.Errorf("received %d bytes, the sender sent %d: a stranger's bytes were counted", received, sent)
	}
}

// TestSenderDies kills the senders in mid-window: sampling reports it.
func TestSenderDies(t *testing.T) {
	server, client := specs("kernel", load.Process, 2, 1024)
	p := start(t, server, client)
	p.run(t)
	if err := unix.Kill(p.client.PIDs()[1], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var err error
	for end := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(end); {
		_, err = p.server.Table.Sample(t.Context(), load.Window{Length: 100 * time.Millisecond, Interval: 10 * time.Millisecond}, still)
	}
	if !errors.Is(err, load.ErrFlowEnded) {
		t.Errorf("got %v: a flow whose sender was killed went unnoticed", err)
	}
}

// TestWorkersEndWithThePool closes the pools in mid-load: no worker may stay.
func TestWorkersEndWithThePool(t *testing.T) {
	server, client := specs("kernel", load.Thread, 2, 65536)
	p := start(t, server, client)
	p.run(t)
	pids := append(p.server.PIDs(), p.client.PIDs()...)
	p.client.Close()
	p.server.Close()
	for _, pid := range pids {
		if err := unix.Kill(pid, 0); err != unix.ESRCH {
			t.Errorf("worker %d still there: %v", pid, err)
		}
	}
}

// TestStartFails leaves nothing behind where a worker can't be started.
func TestStartFails(t *testing.T) {
	server, _ := specs("kernel", load.Process, 2, 1024)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := load.Start(ctx, server); err == nil {
		p.Close()
		t.Error("started under a context that has ended")
	}
}

func TestBadSpec(t *testing.T) {
	good, _ := specs("kernel", load.Process, 1, 1024)
	for name, spoil := range map[string]func(*load.Spec){
		"role":                   func(s *load.Spec) { s.Role = "x" },
		"model":                  func(s *load.Spec) { s.Model = "" },
		"workload":               func(s *load.Spec) { s.Workload = "udp_banana" },
		"engine":                 func(s *load.Spec) { s.Engine = "dpdk" },
		"flows":                  func(s *load.Spec) { s.Flows = nil },
		"lifetime_nanoseconds":   func(s *load.Spec) { s.Lifetime = 0 },
		"flows[0].message_bytes": func(s *load.Spec) { s.Flows[0].MessageBytes = 0 },
		"flows[0].burst": func(s *load.Spec) {
			s.Workload, s.Flows[0].Transport, s.Flows[0].MessageBytes, s.Flows[0].Burst = "rr", load.UDP, 1, 129
		},
		"flows[0].cpu":            func(s *load.Spec) { s.Flows[0].CPU = -2 },
		"congestion control":      func(s *load.Spec) { s.Flows[0].Congestion = "no-such" },
		"flows[0].receive_buffer": func(s *load.Spec) { s.Flows[0].ReceiveBufferBytes = -1 },
		"stack: missing":          func(s *load.Spec) { s.Engine = load.Ustack },
		"stack: for":              func(s *load.Spec) { s.Stack = &load.StackSpec{} },
		"stack_device":            func(s *load.Spec) { s.Engine, s.Stack = load.Ustack, &load.StackSpec{Device: "dpdk"} },
		"stack_address": func(s *load.Spec) {
			s.Engine, s.Stack = load.Ustack, &load.StackSpec{Device: "tun", Links: []load.StackLink{{}}}
		},
		"flows[0].send_method": func(s *load.Spec) {
			s.Engine, s.Stack = load.Ustack, &load.StackSpec{Device: "tun"}
			s.Flows[0].SendMethod = load.ZeroCopy
		},
	} {
		s := good
		s.Flows = append([]load.FlowSpec(nil), good.Flows...)
		spoil(&s)
		p, err := load.Start(context.Background(), s)
		if err == nil {
			_, err = p.Addresses(t.Context())
			p.Close()
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error does not name it: %v", name, err)
		}
	}
}
