package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/meter"
)

// lab is two hosts with a cable between them and an agent on each. The controller runs on the
// first.
type lab struct {
	t      *testing.T
	dir    string
	desk   int // the first host
	agents [2]*program
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needRoot(t)
	l := &lab{t: t, dir: t.TempDir(), desk: newHost(t)}
	far := newHost(t)
	if err := rig.Veth(l.desk, far, rig.Plan(1)); err != nil {
		t.Fatal(err)
	}
	run(t, l.dir, 0, "keys", "new", "key")
	for i, pid := range []int{l.desk, far} {
		p := inHost(prepare(t, l.dir, "serve", "--listen", fmt.Sprintf("198.18.0.%d:4777", i+1), "--key-file", "key"), pid).start()
		t.Cleanup(func() {
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			_ = p.cmd.Wait()
		})
		until(t, "the agent listens", func() bool { return strings.Contains(p.stderr.String(), "listening") })
		l.agents[i] = p
	}
	return l
}

// run begins a run from the first host's agent to the second's.
func (l *lab) run(workload string, more ...string) *program {
	args := append([]string{
		"run", workload, "--sender", "198.18.0.1:srv0", "--receiver", "198.18.0.2:4777:cli0", "--key-file", "key",
		"--ramp-up", "100ms", "--interval", "100ms", "--json",
	}, more...)
	return inHost(prepare(l.t, l.dir, args...), l.desk).start()
}

// measuring waits until the first interval is told.
func (p *program) measuring() {
	p.t.Helper()
	until(p.t, "an interval", func() bool { return strings.Contains(p.stderr.String(), " s  ") })
}

func (p *program) result() *meter.Result {
	p.t.Helper()
	r := new(meter.Result)
	if err := json.Unmarshal([]byte(p.stdout.String()), r); err != nil {
		p.t.Fatalf("%v:\n%s\n%s", err, p.stdout.String(), p.stderr.String())
	}
	return r
}

// TestRunBetweenAgents runs a stream and transactions over TLS between two agents, also
// through one port, and gives a second controller its turn.
func TestRunBetweenAgents(t *testing.T) {
	l := newLab(t)
	for _, args := range [][]string{{"tcp_stream"}, {"tcp_rr"}, {"tcp_stream", "--single-port"}, {"udp_rr", "-P", "3", "--bind-device"}} {
		p := l.run(args[0], append(args[1:], "--duration", "300ms")...)
		p.wait(0, time.Minute)
		r := p.result()
		if !r.Complete || r.Rig != "hosts" || len(r.Hosts) != 2 || len(r.Machines) != 1 || r.Hosts[1].Agent != "198.18.0.2:4777" || r.Hosts[1].NICs[0] != "cli0" {
			t.Errorf("%v: %+v", args, r.Hosts)
		}
		if r.BitsPerSecond <= 0 || r.CPUSeconds <= 0 || r.Config.Answers() != (r.Latency != nil) {
			t.Errorf("%v: %+v", args, r.Figures)
		}
	}

	first := l.run("tcp_rr", "--duration", "4s", "--name", "morning")
	first.measuring()
	refused := l.run("tcp_rr", "--duration", "300ms")
	refused.wait(1, 20*time.Second)
	if !strings.Contains(refused.stderr.String(), "morning") {
		t.Errorf("does not name the run that has the agent:\n%s", refused.stderr.String())
	}
	queued := l.run("tcp_rr", "--duration", "300ms", "--wait", "30s")
	queued.wait(0, time.Minute)
	first.wait(0, time.Minute)
	if !strings.Contains(queued.stderr.String(), "waiting: ") || !strings.Contains(queued.stderr.String(), "morning") {
		t.Errorf("does not say for whom it waits:\n%s", queued.stderr.String())
	}
	if !first.result().Complete || !queued.result().Complete {
		t.Error("a run is not complete")
	}
}

// TestRunLosesAHost kills and stops an agent in mid-run. The run ends, names it and keeps what
// the other host measured.
func TestRunLosesAHost(t *testing.T) {
	for signal, within := range map[syscall.Signal]time.Duration{syscall.SIGKILL: 10 * time.Second, syscall.SIGSTOP: 25 * time.Second} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			p := l.run("tcp_stream", "--duration", "2s")
			p.measuring()
			time.Sleep(300 * time.Millisecond) // on a busy machine the receiver may get nothing in the first interval
			if err := l.agents[1].cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			p.wait(1, within)
			r := p.result()
			if r.Complete || !strings.Contains(r.Error, "198.18.0.2:4777") || !strings.Contains(p.stderr.String(), "198.18.0.2:4777") {
				t.Errorf("complete %v, error %q\n%s", r.Complete, r.Error, p.stderr.String())
			}
			if r.BitsPerSecond <= 0 || r.Hosts[1].Total.Received == 0 || !slices.ContainsFunc(r.Warnings, func(w trial.Warning) bool {
				return w.Code == "cut-off" && strings.HasPrefix(w.Text, "receiver: ")
			}) {
				t.Errorf("what the lost receiver told is lost: %+v, warnings %+v", r.Figures, r.Warnings)
			}
			if len(r.Hosts) != 2 || r.Hosts[1].Error == "" || r.Hosts[0].Total.Sent == 0 || len(r.Windows) != 1 || len(r.Windows[0].Intervals) == 0 {
				t.Errorf("%d windows, hosts %+v", len(r.Windows), r.Hosts)
			}
		})
	}
}

// TestRunInterrupted presses Ctrl-C in mid-window: what was measured so far is told.
func TestRunInterrupted(t *testing.T) {
	needRoot(t)
	p := prepare(t, t.TempDir(), "run", "tcp_rr", "--duration", "30s", "--interval", "100ms", "--json").start()
	p.measuring()
	time.Sleep(300 * time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.wait(1, 3*time.Second)
	asWas(t)
	if r := p.result(); r.Complete || r.TransactionsPerSecond <= 0 || r.Seconds < 0.1 || r.Seconds > 20 {
		t.Errorf("complete %v, %v transactions/s in %v s", r.Complete, r.TransactionsPerSecond, r.Seconds)
	}
	if !strings.Contains(p.stderr.String(), "interrupted: the result is of what was measured so far") {
		t.Errorf("says\n%s", p.stderr.String())
	}
}

// TestRunRootless runs on the rig as a user without rights.
func TestRunRootless(t *testing.T) {
	if testing.Short() {
		t.Skip("measures on the rig")
	}
	alone(t)
	dir := nobodysDir(t)
	p := asNobody(t, prepare(t, dir, "run", "tcp_rr", "--duration", "300ms", "--output", "r.json", "--json"), dir).start()
	p.wait(0, time.Minute)
	r := p.result()
	if !r.Complete || r.TransactionsPerSecond <= 0 || r.CPUSeconds <= 0 || r.Machines[0].CPU.Source != "proc-stat-idle" {
		t.Errorf("%+v, machines %+v", r.Figures, r.Machines)
	}
	if left := marked(t.Name()); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
}
