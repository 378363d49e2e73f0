package agent

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{load.WorkerRole: engines.Worker, Role: Main, listenerRole: listenerMain, controllerRole: controllerMain})
	goleak.VerifyTestMain(m)
}

// served is a session in this process.
type served struct {
	*Client
	end chan error // what Serve returned
}

// serve begins a session; it is ended with the test.
func serve(t *testing.T, o Options) *served {
	t.Helper()
	ours, theirs := net.Pipe()
	s := &served{NewClient("host", ours), make(chan error, 1)}
	go func() { s.end <- Serve(context.Background(), theirs, o) }()
	t.Cleanup(func() { s.hangUp(t) })
	return s
}

// hangUp ends the session and wants it to be over soon, with all put back and no process left.
func (s *served) hangUp(t *testing.T) {
	t.Helper()
	s.conn.Close()
	select {
	case err := <-s.end:
		if err != nil {
			t.Errorf("the session ended with: %v", err)
		}
		s.end <- nil
	case <-time.After(5 * time.Second):
		t.Fatal("the session does not end")
	}
}

func defaults() Options { return Options{Name: "host", Limits: DefaultLimits()} }

// specs are both ends of a load over loopback.
func specs(flows int) (receiver, sender load.Spec) {
	receiver = load.Spec{Role: load.Server, Workload: "stream", Engine: "kernel", Model: load.Process, Lifetime: time.Minute}
	for i := range flows {
		receiver.Flows = append(receiver.Flows, load.FlowSpec{
			ID: i, Token: load.NewToken(), Local: netip.MustParseAddrPort("127.0.0.1:0"), MessageBytes: 8192, CPU: -1,
		})
	}
	sender = receiver
	sender.Role = load.Client
	sender.Flows = append([]load.FlowSpec(nil), receiver.Flows...)
	for i := range sender.Flows {
		sender.Flows[i].Local = netip.AddrPort{}
	}
	return receiver, sender
}

// children counts the live processes that this one has started.
func children(t *testing.T) int {
	t.Helper()
	n := 0
	paths, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(paths) == 0 {
		t.Fatal("can't list children: ", err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // the thread ended
		}
		n += len(strings.Fields(string(b)))
	}
	return n
}
