package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// online is the machine's CPUs in use.
func online(t *testing.T) string {
	t.Helper()
	l, err := host.Live().CPUsOnline()
	if err != nil {
		t.Fatal(err)
	}
	return l.String()
}

// TestKillInMidTrial kills the controller, alone or with its agents, while CPUs are off
// and while they are on, and wants the next command to put everything back.
func TestKillInMidTrial(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/sys/devices/system/cpu/cpu1/online"); err != nil {
		t.Skip("needs a second CPU that can be taken off")
	}
	until(t, "CPU 1 is on", func() bool { return slices.Contains(mustAffinity(t), 1) })
	all := online(t)
	bystander := exec.Command("sleep", "300")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	}()
	if err := sysx.SetAffinity(bystander.Process.Pid, []int{1}); err != nil {
		t.Fatal(err)
	}
	for _, agents := range []bool{false, true} {
		for _, off := range []bool{true, false} {
			t.Run(fmt.Sprintf("agents=%v,off=%v", agents, off), func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 6, "cpus: [1, 2]"))
				p := prepare(t, dir, "study", "tiny.yaml", "--out", "r").start()
				until(t, "a trial", func() bool { return trials(filepath.Join(dir, "r")) > 0 })
				until(t, "the CPUs in use change", func() bool { return (online(t) != all) == off })
				killed := kill(t, p, agents)
				_ = p.cmd.Wait()
				// One killed while it takes a CPU on or off ends that first.
				for _, pid := range killed {
					until(t, "the killed agents are dead", func() bool { return dead(pid) })
				}
				left := agents && online(t) != all // nobody lives who could put it back

				said := run(t, dir, 0, "version")
				if now := online(t); now != all {
					t.Errorf("CPUs %s are online, want %s", now, all)
				}
				cpus, err := sysx.Affinity(bystander.Process.Pid)
				if err != nil || !slices.Equal(cpus, []int{1}) {
					t.Errorf("the bystander may run on %v (%v), was pinned to 1", cpus, err)
				}
				asWas(t)
				if left && !strings.Contains(said.stderr.String(), "put back after a killed run: cpus of machine") {
					t.Errorf("does not say what it put back:\n%s", said.stderr.String())
				}
			})
		}
	}
}

func mustAffinity(t *testing.T) []int {
	cpus, err := sysx.Affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	return cpus
}

// kill kills the controller and, before it can notice, its agents.
func kill(t *testing.T, p *program, agents bool) (killed []int) {
	t.Helper()
	var pids []int
	if agents {
		pids = children(t, p.cmd.Process.Pid)
	}
	for _, pid := range append(pids, p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", pid, err)
		}
	}
	return pids
}

// dead reports whether a process is gone, or a zombie that nobody has waited for.
func dead(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// children are the processes that a process has started and that live.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var out []int
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		t.Fatal("the controller has no agents")
	}
	return out
}

// TestAgentDies kills the server's agent under a living controller, which must put back for
// it what it held, end at once, and keep what was measured.
func TestAgentDies(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 3, "cpus: [1, 2]"))
	p := prepare(t, dir, "study", "tiny.yaml", "--out", "r").start()
	until(t, "two trials", func() bool { return trials(filepath.Join(dir, "r")) > 1 })
	for _, pid := range children(t, p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	p.wait(1, 3*time.Second)
	asWas(t)
	if said := p.stderr.String(); !strings.Contains(said, "the agent is gone") || !strings.Contains(said, "signal: killed") {
		t.Errorf("does not say what happened:\n%s", said)
	}
	run(t, dir, 0, "study", "--resume", "r")
	d, err := result.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	ok := 0
	for _, tr := range d.Trials {
		if tr.Status == trial.OK {
			ok++
		}
	}
	if ok != 6 || len(d.Trials) > 8 {
		t.Errorf("%d trials of which %d count, want 6 and no more than two failed", len(d.Trials), ok)
	}
}

// TestResumeAfterKill goes on with a study that was killed.
func TestResumeAfterKill(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "r")
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 4, "nics: [1, 2]"))
	p := prepare(t, dir, "study", "tiny.yaml", "--out", "r").start()
	until(t, "two trials", func() bool { return trials(out) >= 2 })
	kill(t, p, true)
	_ = p.cmd.Wait()
	// As if it had been killed while it wrote.
	f, err := os.OpenFile(filepath.Join(out, "trials.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"schema":1,"id":"one.`)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, dir, 0, "report", "r")
	if !strings.Contains(r.stdout.String(), "of 8 trials") {
		t.Errorf("the report of a killed study does not say how far it came:\n%s", r.stdout.String())
	}
	run(t, dir, 0, "study", "--resume", "r")
	asWas(t)
	if n := trials(out); n != 8 {
		t.Errorf("%d trials, want 8", n)
	}
}

// TestTwoStudiesAtOnce wants the second to wait, and both to be whole.
func TestTwoStudiesAtOnce(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 2, "nics: [1, 2]"))
	var ps []*program
	for range 2 {
		ps = append(ps, prepare(t, dir, "study", "tiny.yaml").start())
	}
	for _, p := range ps {
		p.wait(0, time.Minute)
	}
	made, _ := filepath.Glob(filepath.Join(dir, "stackmeter-tiny-*"))
	if len(made) != 2 {
		t.Fatalf("results %v, want two", made)
	}
	for _, m := range made {
		if n := trials(m); n != 4 {
			t.Errorf("%s: %d trials, want 4", m, n)
		}
	}
	if !strings.Contains(ps[0].stderr.String()+ps[1].stderr.String(), "waiting for process") {
		t.Error("neither says that it waits for the other")
	}
	asWas(t)
}
