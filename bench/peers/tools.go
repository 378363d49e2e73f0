package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
)

// tool is a load generator. start returns when it is started, and how to end it.
type tool struct {
	name  string
	start func(ctx context.Context, bytes int, window time.Duration) (stop func() error, err error)
}

// bench is one veth pair with the probe.
type bench struct {
	*experiment.Bench
	probe                *cpu.Probe
	clientCPU, serverCPU int
}

func newRig(ctx context.Context, tso, same bool) (*bench, error) {
	p := &experiment.Plan{
		Name: "peers", Replicates: 1, MaxAttempts: 1, StrangerLimit: 1,
		Timing:      experiment.Timing{Window: time.Second, Interval: time.Second},
		Experiments: []experiment.Experiment{{Name: "peers", Factors: []experiment.FactorLevels{{Name: "nics", Levels: []string{"1"}}}}},
	}
	if err := p.Normalize(); err != nil {
		return nil, err
	}
	b, err := experiment.VethBench(ctx, p)
	if err != nil {
		return nil, err
	}
	r := &bench{Bench: b, clientCPU: b.ServerHello.CPUs[0], serverCPU: b.ServerHello.CPUs[1]}
	if same {
		r.serverCPU = r.clientCPU
	}
	if _, err := b.Client.Configure(ctx, agent.Configure{NICs: []agent.NICSettings{{Name: b.Links[0].Client.Name, Features: map[string]bool{"tso": tso, "gso": tso}}}}); err != nil {
		b.Close()
		return nil, err
	}
	for _, pid := range []int{b.Server.PID(), b.Client.PID()} {
		if err := inNamespace(pid, func() error {
			return cubicRoutes()
		}); err != nil {
			b.Close()
			return nil, fmt.Errorf("congestion control of every tool: %w", err)
		}
	}
	r.probe, _, err = cpu.Open(ctx, cpu.Options{})
	if err != nil {
		b.Close()
		return nil, err
	}
	return r, nil
}

// cubicRoutes makes every connection of the namespace use cubic: a route's
// attribute reaches all tools, the namespace's sysctl may be refused.
func cubicRoutes() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, route := range routes {
		route.Congctl = "cubic"
		if err := netlink.RouteReplace(&route); err != nil {
			return err
		}
	}
	return nil
}

func (r *bench) close() {
	r.probe.Close()
	if err := r.Bench.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// received is the server NIC's count of bytes.
func (r *bench) received() (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", r.Server.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), r.Links[0].Server.Name+":"); ok {
			return strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/net/dev", r.Links[0].Server.Name)
}

// tools are stackmeter and those peers that are installed.
func (r *bench) tools() []tool {
	to := r.Links[0].Server.Addr.String()
	// stackmeter's own default waits for whole messages; -any returns what has
	// arrived, as the other tools' receivers do.
	out := []tool{{"stackmeter", r.stackmeter(true)}, {"stackmeter-any", r.stackmeter(false)}}
	has := func(name string) bool { _, err := exec.LookPath(name); return err == nil }
	if has("netperf") && has("netserver") {
		out = append(out, tool{"netperf", r.pair("netserver -D -4 -L "+to, func(bytes int, seconds float64) string {
			return fmt.Sprintf("netperf -H %s -l %.1f -t TCP_STREAM -- -m %d -M %d", to, seconds, bytes, bytes)
		})})
	}
	if has("tcp_stream") {
		out = append(out, tool{"neper", func(ctx context.Context, bytes int, window time.Duration) (func() error, error) {
			flags := fmt.Sprintf(" -B %d -F 1 -T 1 -l %d --nolog", bytes, seconds(window))
			return r.pair("tcp_stream"+flags, func(bytes int, s float64) string {
				return fmt.Sprintf("tcp_stream -c -H %s%s", to, flags)
			})(ctx, bytes, window)
		}})
	}
	if has("iperf3") {
		out = append(out, tool{"iperf3", r.pair("iperf3 -s -1", func(bytes int, seconds float64) string {
			return fmt.Sprintf("iperf3 -c %s -t %.0f -l %d", to, seconds, bytes)
		})})
	}
	return out
}

func seconds(window time.Duration) int { return int((window + 1500*time.Millisecond).Seconds() + 0.99) }

// pair starts a server and a client, each in its namespace on its CPU.
func (r *bench) pair(server string, client func(bytes int, seconds float64) string) func(context.Context, int, time.Duration) (func() error, error) {
	return func(ctx context.Context, bytes int, window time.Duration) (func() error, error) {
		s, err := r.spawn(ctx, r.Server.PID(), r.serverCPU, server)
		if err != nil {
			return nil, err
		}
		time.Sleep(200 * time.Millisecond) // until it listens
		c, err := r.spawn(ctx, r.Client.PID(), r.clientCPU, client(bytes, float64(seconds(window))))
		if err != nil {
			s.Process.Kill()
			s.Wait()
			return nil, err
		}
		return func() error {
			for _, p := range []*exec.Cmd{c, s} {
				p.Process.Kill()
				p.Wait()
			}
			return nil
		}, nil
	}
}

func (r *bench) spawn(ctx context.Context, pid, cpu int, line string) (*exec.Cmd, error) {
	words := append([]string{"-c", strconv.Itoa(cpu)}, strings.Fields(line)...)
	cmd := exec.CommandContext(ctx, "taskset", words...)
	var out bytes.Buffer
	cmd.Stderr = &out
	return cmd, inNamespace(pid, cmd.Start)
}

// inNamespace runs f on a thread in the network namespace of a process.
func inNamespace(pid int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		ns, err := netns.GetFromPid(pid)
		if err == nil {
			defer ns.Close()
			if err = netns.Set(ns); err == nil {
				err = f()
			}
		}
		done <- err
	}()
	return <-done
}

// stackmeter runs our own load through the agents.
func (r *bench) stackmeter(whole bool) func(ctx context.Context, bytes int, window time.Duration) (func() error, error) {
	return func(ctx context.Context, bytes int, _ time.Duration) (func() error, error) {
		return r.load(ctx, bytes, whole)
	}
}

func (r *bench) load(ctx context.Context, bytes int, whole bool) (func() error, error) {
	token := load.NewToken()
	spec := load.Spec{Role: load.Server, Workload: "stream", Engine: "kernel", Model: load.Process, Lifetime: time.Minute, Flows: []load.FlowSpec{{
		Token: token, Local: netip.AddrPortFrom(r.Links[0].Server.Addr, 0), MessageBytes: bytes, CPU: r.serverCPU, WholeMessages: whole,
	}}}
	ready, err := r.Server.Prepare(ctx, spec)
	if err != nil {
		return nil, err
	}
	spec.Role = load.Client
	spec.Flows = []load.FlowSpec{{Token: token, MessageBytes: bytes, CPU: r.clientCPU}}
	if _, err := r.Client.Prepare(ctx, spec); err != nil {
		return nil, err
	}
	accepted := make(chan error, 1)
	go func() { accepted <- r.Server.Connect(ctx, agent.Connect{}) }()
	err = r.Client.Connect(ctx, agent.Connect{To: ready.Addresses})
	if err != nil {
		return nil, err
	}
	if err := <-accepted; err != nil {
		return nil, err
	}
	if err := r.Server.Go(ctx, agent.Start{}); err != nil {
		return nil, err
	}
	if err := r.Client.Go(ctx, agent.Start{}); err != nil {
		return nil, err
	}
	return func() error {
		for _, c := range []*agent.Client{r.Client, r.Server} {
			if _, err := c.Stop(ctx, time.Second); err != nil {
				return err
			}
		}
		if err := r.Client.Release(ctx); err != nil {
			return err
		}
		return r.Server.Release(ctx)
	}, nil
}
