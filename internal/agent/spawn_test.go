package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
}

// twoAgents are agents in namespaces with one link between them.
func twoAgents(t *testing.T) (server, client *Client) {
	t.Helper()
	needRoot(t)
	var agents [2]*Client
	for i, name := range []string{"server", "client"} {
		c, err := Spawn(name, InNamespace)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Hello(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		agents[i] = c
	}
	if err := rig.Veth(agents[0].PID(), agents[1].PID(), rig.Plan(1)); err != nil {
		t.Fatal(err)
	}
	return agents[0], agents[1]
}

// TestSettings sets a NIC, wants what is in force read back, and what can't be refused.
func TestSettings(t *testing.T) {
	server, client := twoAgents(t)
	set, err := server.Configure(t.Context(), Configure{NICs: []NICSettings{{Name: "srv0", MTU: 1400, Threaded: true, Features: map[string]bool{"gro": true}}}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range set.Knobs {
		if k.Target != "server:srv0" || k.Mechanism == "" {
			t.Errorf("knob %+v", k)
		}
		got[k.Name] = k.Value
	}
	if len(got) != 3 || got["mtu"] != "1400" || got["gro"] != "on" || got["threaded-napi"] != "1" {
		t.Errorf("in force are %v", got)
	}
	for field, c := range map[string]Configure{
		"srv7":        {NICs: []NICSettings{{Name: "srv7", MTU: 1400}}},
		"mtu of cli0": {NICs: []NICSettings{{Name: "cli0", MTU: 70000}}},
		"../../etc":   {NICs: []NICSettings{{Name: "../../etc", MTU: 1400}}},
	} {
		if _, err := client.Configure(t.Context(), c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v: %v, want an error with %q", c, err, field)
		}
	}
	if err := errors.Join(server.Close(), client.Close()); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// TestSpawnedAgentEnds wants agents and namespaces gone when the client is closed, at
// once and in a call.
func TestSpawnedAgentEnds(t *testing.T) {
	server, _ := twoAgents(t)
	pid := server.PID()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.Hello(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("a call of an ended context: %v", err)
	}
	began := time.Now()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("took %v to end", d)
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil {
		t.Errorf("agent %d is left", pid)
	}
}

// TestKilledAgentIsTold wants the calls and the close to say what happened.
func TestKilledAgentIsTold(t *testing.T) {
	server, _ := twoAgents(t)
	if Orphaned(host.Live(), server.PID()) {
		t.Error("an agent with a controller is taken for an orphan")
	}
	if !Orphaned(host.Live(), os.Getpid()) { // its parent is the go command or a shell
		t.Error("a process whose parent is another program is not an orphan")
	}
	if err := syscall.Kill(server.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Hello(t.Context(), false); err == nil || !strings.Contains(err.Error(), "server") {
		t.Errorf("a call to a killed agent: %v", err)
	}
	if err := server.Close(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("the close of a killed agent: %v", err)
	}
}
