package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
)

// tiny is a plan of short trials that no stranger disturbs; the cells come after it.
const tiny = `name: tiny
ramp_up: 20ms
window: 100ms
interval: 20ms
replicates: %d
max_attempts: 1
stranger_limit: 100%%
experiments:
  - name: one
    factors: {%s}
`

// program is a run of stackmeter in a directory of its own.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout guarded
	stderr guarded
}

// guarded is a buffer that can be read while it is written.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

// prepare makes a run of the program in dir. Its processes carry the test's name.
func prepare(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: &exec.Cmd{Path: self, Args: append([]string{"stackmeter"}, args...), Dir: dir}}
	p.cmd.Env = append(os.Environ(), marker+"="+t.Name())
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p
}

func (p *program) start() *program {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// wait wants an exit code within a time.
func (p *program) wait(want int, within time.Duration) {
	p.t.Helper()
	late := time.AfterFunc(within, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	if !late.Stop() {
		p.t.Fatalf("%v: not done within %v\n%s", p.cmd.Args, within, p.stderr.String())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		p.t.Fatalf("%v: exit code %d, want %d\n%s%s", p.cmd.Args, got, want, p.stdout.String(), p.stderr.String())
	}
}

// run runs the program to its end.
func run(t *testing.T, dir string, want int, args ...string) *program {
	t.Helper()
	p := prepare(t, dir, args...).start()
	p.wait(want, time.Minute)
	return p
}

// until waits for a condition, for 20 s at most: the machine may be busy and
// another study may be measuring.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// trials counts the lines of a result's record.
func trials(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, result.TrialsFile))
	if err != nil {
		return 0
	}
	return strings.Count(string(b), "\n")
}

// needRoot skips where the built-in rig would not have everything.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: everything is measured")
	}
	if testing.Short() {
		t.Skip("measures on the rig")
	}
}

func asWas(t *testing.T) {
	t.Helper()
	if left := leftovers(t.Name()); left != "" {
		t.Error(left)
	}
}
