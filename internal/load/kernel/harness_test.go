package kernel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: func() int {
		return load.WorkerMain(map[string]load.Engine{"kernel": Engine{}})
	}})
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// models are the two drivers.
var models = []load.Model{load.Thread, load.Epoll}

// meet, where not nil, is told where a run's server listens, before its client comes.
var meet func(address string)

// run is one load on this machine, after it has ended.
type run struct {
	server, client         load.Tally // of all flows
	servers, clients       []load.Tally
	serverEnds, clientEnds []load.End
}

// carry runs a workload for some time and ends both ends in order. The flow's Local is the
// server's; the client's is its zero value unless change sets it.
func carry(t *testing.T, workload string, model load.Model, f load.FlowSpec, change func(server, client *load.FlowSpec)) run {
	t.Helper()
	r, err := try(t, workload, model, f, change)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try is carry where it may not work.
func try(t *testing.T, workload string, model load.Model, f load.FlowSpec, change func(server, client *load.FlowSpec)) (r run, err error) {
	t.Helper()
	ctx := t.Context()
	f.Token, f.CPU = load.NewToken(), -1
	if !f.Local.IsValid() {
		f.Local = netip.MustParseAddrPort("127.0.0.1:0")
	}
	here, there := f, f
	there.Local = netip.AddrPort{}
	if change != nil {
		change(&here, &there)
	}
	spec := load.Spec{Workload: workload, Engine: "kernel", Model: model, Threads: 1, Lifetime: time.Minute}
	start := func(role load.Role, f load.FlowSpec) (*load.Pool, error) {
		s := spec
		s.Role, s.Flows = role, []load.FlowSpec{f}
		p, err := load.Start(ctx, s)
		if err == nil {
			t.Cleanup(p.Close)
		}
		return p, err
	}
	server, err := start(load.Server, here)
	if err != nil {
		return r, err
	}
	defer server.Close()
	to, err := server.Addresses(ctx)
	if err != nil {
		return r, err
	}
	if f.SinglePort {
		port, shut := agentPort(t, server)
		defer shut() // before the pool is closed
		to = map[int]string{f.ID: port}
	}
	if meet != nil {
		meet(to[f.ID])
	}
	client, err := start(load.Client, there)
	if err != nil {
		return r, err
	}
	defer client.Close()
	if _, err := client.Addresses(ctx); err != nil {
		return r, err
	}
	accepted := make(chan error, 1)
	accepting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { accepted <- server.Connect(accepting, nil) }()
	if err := client.Connect(ctx, to); err != nil {
		cancel() // what waits for the client would wait for long
		<-accepted
		return r, err
	}
	if err := <-accepted; err != nil {
		return r, err
	}
	for _, p := range []*load.Pool{server, client} {
		if err := p.Go(ctx, 0); err != nil {
			return r, err
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := client.Table.Carrying(true); err != nil {
			return r, err
		}
		n := 0
		for i := range client.Table.Len() {
			if arrives(workload, server.Table.Slot(i).Read(), client.Table.Slot(i).Read()) {
				n++
			}
		}
		if n == client.Table.Len() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d flows carried nothing in 10 s", client.Table.Len()-n, client.Table.Len())
		}
	}
	time.Sleep(60 * time.Millisecond)
	first, second := client, server
	if load.Workloads[workload].First() == load.Server {
		first, second = second, first
	}
	ends := map[*load.Pool][]load.End{}
	for _, p := range []*load.Pool{first, second} {
		if ends[p], err = p.Stop(ctx, 2*time.Second); err != nil {
			return r, err
		}
		for _, e := range ends[p] {
			if e.Error != "" {
				t.Errorf("end of flow %d: %s", e.ID, e.Error)
			}
		}
	}
	r.serverEnds, r.clientEnds = ends[server], ends[client]
	for i := range server.Table.Len() {
		s, c := server.Table.Slot(i).Read(), client.Table.Slot(i).Read()
		r.servers, r.clients = append(r.servers, s), append(r.clients, c)
		r.server.Add(s)
		r.client.Add(c)
	}
	return r, nil
}

// arrives reports whether something has come at each end of a flow that receives.
func arrives(workload string, server, client load.Tally) bool {
	switch workload {
	case "stream":
		return server.Received > 0
	case "bidir":
		return server.Received > 0 && client.Received > 0
	}
	return client.Received > 0
}

// agree holds what one end sent against what the other received.
func (r run) agree(t *testing.T) {
	t.Helper()
	if r.server.Received != r.client.Sent || r.server.Sent != r.client.Received {
		t.Errorf("the server received %d and sent %d bytes, the client sent %d and received %d",
			r.server.Received, r.server.Sent, r.client.Sent, r.client.Received)
	}
	if r.client.Bytes() == 0 {
		t.Error("nothing was carried")
	}
}

// skipIfNot skips where the kernel lacks what is tested.
func skipIfNot(t *testing.T, err error) {
	t.Helper()
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
}

// agentPort is a port that hands connections over as an agent does.
func agentPort(t *testing.T, p *load.Pool) (address string, shut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			opening := make([]byte, load.DataPreambleBytes)
			if _, err := io.ReadFull(conn, opening); err != nil {
				t.Error(err)
			}
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err == nil {
				err = raw.Control(func(fd uintptr) {
					opening[len(load.DataMagic)]++ // a stranger's token
					if err := p.HandOver(int(fd), opening); !errors.Is(err, load.ErrNotAwaited) {
						t.Errorf("a stranger's connection: %v", err)
					}
					opening[len(load.DataMagic)]--
					if err := p.HandOver(int(fd), opening); err != nil {
						t.Error(err)
					}
				})
			}
			if err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	return l.Addr().String(), func() {
		l.Close()
		<-done
	}
}
