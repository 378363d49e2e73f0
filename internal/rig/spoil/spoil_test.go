package spoil

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/engines"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{agent.Role: agent.Main, load.WorkerRole: engines.Worker, Role: Busy, "keeper": keep})
	os.Exit(m.Run())
}

// keep is a controller that has a competitor and waits to be killed.
func keep() int {
	r := &Rig{cpus: []int{0}}
	if err := r.compete(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(r.busy.Process.Pid)
	time.Sleep(time.Minute)
	return 0
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for: %s", what)
		}
	}
}

// runs reports whether a process is there and no zombie.
func runs(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && !strings.HasPrefix(state, "Z")
}

// TestCompetitorDiesWithItsStarter kills the controller, which can then end nothing.
func TestCompetitorDiesWithItsStarter(t *testing.T) {
	c := selfexec.Command(context.Background(), "keeper")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, bad := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || bad != nil {
		_ = c.Process.Kill()
		t.Fatalf("the keeper says %q: %v", line, err)
	}
	until(t, "the competitor on CPU 0", func() bool {
		cpus, err := sysx.Affinity(pid)
		return err == nil && len(cpus) == 1 && cpus[0] == 0
	})
	_ = c.Process.Signal(syscall.SIGKILL)
	_ = c.Wait()
	until(t, "the competitor's end", func() bool { return !runs(pid) })
}

// seen is the state of a rig that spoiling it changes, read from its namespaces.
func (r *Rig) seen(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{"competitor": strconv.FormatBool(r.busy != nil && runs(r.busy.Process.Pid))}
	read := func(name string, k knob.Knob) {
		v, err := k.Read()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = v
	}
	err := in(r.server, func(root host.Root) error {
		for i, l := range r.links {
			read(fmt.Sprint("gro ", i), knob.Offload(l.Server.Name, "gro"))
			read(fmt.Sprint("server mtu ", i), knob.MTU(root, l.Server.Name))
			napis, err := root.NAPIs(l.Server.Name)
			if err != nil {
				return err
			}
			for _, n := range napis {
				if n.PID == 0 {
					continue
				}
				cpus, err := sysx.Affinity(n.PID)
				if err != nil {
					return err
				}
				out[fmt.Sprint("napi ", i)] = fmt.Sprint(cpus)
			}
		}
		read("rmem", knob.Sysctl(root, "net.ipv4.tcp_rmem"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = in(r.client, func(root host.Root) error {
		for i, l := range r.links {
			read(fmt.Sprint("client mtu ", i), knob.MTU(root, l.Client.Name))
			link, err := netlink.LinkByName(l.Client.Name)
			if err != nil {
				return err
			}
			qs, err := netlink.QdiscList(link)
			if err != nil {
				return err
			}
			for _, q := range qs {
				if q.Type() == "tbf" {
					out[fmt.Sprint("tbf ", i)] = "there"
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEachWayIsPlantedAndMended reads the rig from within before, while and after it is spoilt.
func TestEachWayIsPlantedAndMended(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: pins the kernel threads of NICs")
	}
	cpus, err := sysx.Affinity(0)
	if err != nil || len(cpus) < 2 {
		t.Skip("needs two CPUs to keep receive work and reader apart")
	}
	links := rig.Plan(2)
	var agents []*agent.Client
	for _, name := range []string{"server", "client"} {
		a, err := agent.Spawn(name, agent.InNamespace)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		if _, err := a.Hello(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		agents = append(agents, a)
	}
	if err := rig.Veth(agents[0].PID(), agents[1].PID(), links); err != nil {
		t.Fatal(err)
	}
	r, err := Ready(agents[0].PID(), agents[1].PID(), links, cpus[:2])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	here := func() string {
		v, err := knob.Sysctl(host.Live(), "net.ipv4.tcp_rmem").Read()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	outside, before := here(), r.seen(t)
	wants := map[string]map[string]string{
		"affinity":     {"napi 0": fmt.Sprint(cpus[1:2]), "napi 1": fmt.Sprint(cpus[:1])},
		"gro-off":      {"gro 0": "off", "gro 1": "off"},
		"small-mtu":    {"server mtu 0": "576", "server mtu 1": "576", "client mtu 0": "576", "client mtu 1": "576"},
		"small-buffer": {"rmem": smallWindow},
		"rate-limit":   {"tbf 0": "there"},
		"competitor":   {"competitor": "true"},
	}
	for _, k := range Kinds() {
		if err := r.Plant(k); err != nil {
			t.Fatal(err)
		}
		now := r.seen(t)
		if out := here(); out != outside {
			t.Errorf("%s: net.ipv4.tcp_rmem outside of the rig was %q, is %q", k.Name, outside, out)
		}
		for name, want := range wants[k.Name] {
			if now[name] != want || before[name] == want {
				t.Errorf("%s: %s was %q, is %q, want %q", k.Name, name, before[name], now[name], want)
			}
		}
		for name := range before {
			// Without GRO veth has no NAPI.
			if _, planted := wants[k.Name][name]; !planted && now[name] != before[name] && (k.Name != "gro-off" || !strings.HasPrefix(name, "napi")) {
				t.Errorf("%s: %s was %q, is %q, which is not to be touched", k.Name, name, before[name], now[name])
			}
		}
		if err := r.Unplant(k); err != nil {
			t.Fatal(err)
		}
		if after := r.seen(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: mended %v, before %v", k.Name, after, before)
		}
	}
}
