package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// controllerRole is a test's controller in a process of its own, that can be killed.
const (
	controllerRole = "test-controller"
	phaseVariable  = "STACKMETER_TEST_PHASE"
	agentsVariable = "STACKMETER_TEST_AGENTS" // addresses of two; "": it starts its own, in namespaces
)

// patience is for what takes milliseconds where the machine does nothing else.
const patience = 20 * time.Second

// midMeasure is the phase of a window that is open.
const midMeasure = "in measure"

// controllerMain walks to a phase, says so, and stays there.
func controllerMain() int {
	ctx := context.Background()
	if err := control(ctx, os.Getenv(phaseVariable), os.Getenv(agentsVariable)); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func control(ctx context.Context, phase, agents string) error {
	w := walk{at: netip.MustParseAddr("127.0.0.1"), long: 100 * time.Millisecond}
	for i, to := range []**Client{&w.r, &w.s} {
		var err error
		if agents == "" {
			*to, err = Spawn([]string{"server", "client"}[i], InNamespace)
		} else {
			key, kerr := ReadKey(os.Getenv(keyVariable))
			if kerr != nil {
				return kerr
			}
			*to, err = Dial(ctx, strings.Fields(agents)[i], key)
		}
		if err != nil {
			return err
		}
	}
	if agents == "" {
		plan := rig.Plan(1)
		if err := rig.Veth(w.r.PID(), w.s.PID(), plan); err != nil {
			return err
		}
		w.at, w.nic = plan[0].Server.Addr, plan[0].Server.Name
	}
	if phase != midMeasure {
		if err := w.to(ctx, phase); err != nil {
			return err
		}
		fmt.Println("at", phase)
		time.Sleep(time.Minute)
		return nil
	}
	w.long = time.Minute
	w.each = func(i Interval) {
		if i.Index == 0 {
			fmt.Println("at", phase)
		}
	}
	return w.to(ctx, "measure")
}

// startController starts a controller that walks to a phase, and returns what kills it.
func startController(t *testing.T, phase string, env ...string) (pid int, kill func()) {
	t.Helper()
	cmd := selfexec.Command(t.Context(), controllerRole, append(env, phaseVariable+"="+phase)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "at "+phase+"\n" {
		kill()
		t.Fatalf("the controller says %q", line)
	}
	return cmd.Process.Pid, kill
}

// descendants are the processes that a process has started, and theirs.
func descendants(pid int) (out []int) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range paths {
		b, _ := os.ReadFile(path) // the thread may have ended
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}

// gone wants processes to be dead soon.
func gone(t *testing.T, what string, pids []int) {
	t.Helper()
	end := time.Now().Add(patience)
	for _, pid := range pids {
		for {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			_, state, _ := strings.Cut(string(b), ") ")
			if err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%s %d is left: %s", what, pid, b)
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// far is how far the agent says that a session came.
var far = map[string]string{
	"hello": "no load prepared:", "prepare": "the load prepared:", "connect": "the load connected:", "go": "the load running:",
	midMeasure: `the load running, in the call "measure":`, "stop": "the load done:", "release": "no load prepared:",
}

// TestControllerIsKilled kills a controller in every phase, and wants its agents to end the session in
// bounded time, to say how far it came, to leave no worker and to serve the next.
func TestControllerIsKilled(t *testing.T) {
	r := listenApart(t)
	s := listenApartWith(t, r)
	for phase, where := range far {
		t.Run(phase, func(t *testing.T) {
			_, kill := startController(t, phase, agentsVariable+"="+r.addr+" "+s.addr, keyVariable+"="+r.keyFile)
			workers := append(descendants(r.pid), descendants(s.pid)...)
			if loaded := strings.HasPrefix(where, "the load"); loaded && phase != "stop" && len(workers) < 2 {
				t.Errorf("workers %v", workers)
			}
			kill()
			r.waitFor(t, `session of run "walk" ended, `+where+" all put back", patience)
			s.waitFor(t, `session of run "walk" ended, `, patience)
			gone(t, "worker", workers)
			r.serves(t, patience)
			s.serves(t, patience)
			r.forget()
			s.forget()
		})
	}
}

// TestControllerOfItsOwnAgentsIsKilled does the same to agents that were started for the controller
// and have changed a NIC: it must be put back, and the agents, their workers and their journals gone.
func TestControllerOfItsOwnAgentsIsKilled(t *testing.T) {
	needRoot(t)
	dir, err := knob.Dir(host.Live())
	if err != nil {
		t.Fatal(err)
	}
	nic := rig.Plan(1)[0].Server.Name
	for _, phase := range append(phases[1:5:5], midMeasure, "stop", "release") {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			pid, kill := startController(t, phase)
			started := descendants(pid)
			if len(started) < 2 {
				t.Fatalf("the controller started %v", started)
			}
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", started[0])) // it outlives its agent
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			mtu := func() (text string) {
				err := sysx.InNetNS(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), func(sysfs string) error {
					b, err := os.ReadFile(filepath.Join(sysfs, "class/net", nic, "mtu"))
					text = strings.TrimSpace(string(b))
					return err
				})
				if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EINVAL) { // it went, or goes, with its other end
					return "1500"
				}
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
			if got := mtu(); got != "1400" {
				t.Errorf("the NIC's MTU is %s, want 1400", got)
			}
			kill()
			gone(t, "agent or worker", started)
			if got := mtu(); got != "1500" {
				t.Errorf("the NIC's MTU is left at %s", got)
			}
			for _, pid := range started {
				if left, _ := filepath.Glob(filepath.Join(dir, fmt.Sprintf("*%d*", pid))); len(left) > 0 {
					t.Errorf("journals %v are left", left)
				}
			}
		})
	}
}

// TestAgentIsKilled kills the receiver's agent in every phase. The call in progress, or the next,
// must name it in bounded time; its workers must go; the sender's agent must end its load and serve the next.
func TestAgentIsKilled(t *testing.T) {
	s := listenApart(t)
	for phase := range far {
		t.Run(phase, func(t *testing.T) {
			r := listenApartWith(t, s)
			w := walk{at: netip.MustParseAddr("127.0.0.1"), long: 100 * time.Millisecond}
			var err error
			if w.r, err = Dial(t.Context(), r.addr, r.key); err != nil {
				t.Fatal(err)
			}
			if w.s, err = Dial(t.Context(), s.addr, s.key); err != nil {
				t.Fatal(err)
			}
			var workers []int
			call, method := func() error { return w.r.Release(t.Context()) }, "release"
			if phase == midMeasure {
				w.long, method = time.Minute, "measure"
				call = func() error { return w.to(t.Context(), "measure") }
				w.each = func(Interval) {
					if workers == nil {
						workers = append(descendants(r.pid), descendants(s.pid)...)
						r.kill()
					}
				}
			} else {
				if err := w.to(t.Context(), phase); err != nil {
					t.Fatal(err)
				}
				workers = append(descendants(r.pid), descendants(s.pid)...)
				r.kill()
			}
			began := time.Now()
			err = call()
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), r.addr) || !strings.Contains(err.Error(), strconv.Quote(method)) {
				t.Errorf("the call ended with %v, want ErrGone of %s", err, r.addr)
			}
			if d := time.Since(began); d > patience {
				t.Errorf("took %v to notice", d)
			}
			_ = w.r.Close()
			if phase == "go" || phase == midMeasure { // the flows have lost their other end
				if stopped, err := w.s.Stop(t.Context(), time.Second); err != nil || len(stopped.Ends) != 2 {
					t.Errorf("the senders ended with %v, %v", stopped, err)
				}
			}
			if err := w.s.Close(); err != nil {
				t.Error(err)
			}
			gone(t, "worker", workers)
			s.serves(t, patience)
		})
	}
}
