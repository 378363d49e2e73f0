package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

const nobody = 65534

// asNobody makes the program one of a user without rights, and dir that user's.
func asNobody(t *testing.T, p *program, dir string) *program {
	t.Helper()
	if os.Geteuid() != 0 {
		return p // it is already
	}
	self, err := os.ReadFile(p.cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Path = filepath.Join(dir, "program")
	if err := os.WriteFile(p.cmd.Path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(p.cmd.Env, "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}}
	return p
}

// nobodysDir is a directory that the user nobody can reach and write to.
func nobodysDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stackmeter-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return dir
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

// alone keeps root's studies, which take CPUs off, from running beside this test's: another
// user's program can't wait for them.
func alone(t *testing.T) {
	t.Helper()
	dir, err := knob.Dir(host.Live())
	if err != nil {
		t.Fatal(err)
	}
	release, err := knob.Exclusive(t.Context(), dir, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}

// TestRootless runs a study as a user without rights, in a user namespace.
func TestRootless(t *testing.T) {
	if testing.Short() {
		t.Skip("measures on the rig")
	}
	if b, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || strings.TrimSpace(string(b)) == "0" {
		t.Skip("this kernel gives users no namespaces")
	}
	alone(t)
	dir := nobodysDir(t)
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 2, "affinity: [none, irq, process, both], cpus: [1, 2]")+
		"    baseline: {affinity: none}\n")
	p := asNobody(t, prepare(t, dir, "study", "tiny.yaml", "--out", "r", "--duration", "300ms"), dir).start()
	p.wait(0, time.Minute)
	for _, lost := range []string{"irq-affinity", "cpu-hotplug", "cpu-time-bpf", "affinity=both,cpus=2 left out"} {
		if !strings.Contains(p.stderr.String(), lost) {
			t.Errorf("does not say that %s is lost:\n%s", lost, p.stderr.String())
		}
	}
	d, err := result.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]int{}
	for _, tr := range d.Trials {
		if tr.Status != "ok" {
			t.Errorf("trial %s: %s %s", tr.ID, tr.Status, tr.Error)
		}
		cells[tr.Levels["affinity"]+tr.Levels["cpus"]]++
		if tr.CPU.Source != "proc-stat-idle" || tr.CPU.Groups["server"] <= 0 || tr.CPU.ServerUtilization <= 0 || tr.ThroughputBitsPerSecond <= 0 {
			t.Errorf("trial %s: source %q, server %v s, utilisation %v, throughput %v", tr.ID, tr.CPU.Source, tr.CPU.Groups["server"], tr.CPU.ServerUtilization, tr.ThroughputBitsPerSecond)
		}
		confined := slices.ContainsFunc(tr.Warnings, func(w trial.Warning) bool { return w.Code == "cpus-by-affinity" })
		if confined != (tr.Levels["cpus"] == "1") {
			t.Errorf("trial %s on %s CPUs: confined %v", tr.ID, tr.Levels["cpus"], confined)
		}
	}
	if len(cells) != 4 || cells["none1"] != 2 || cells["process2"] != 2 {
		t.Errorf("cells %v, want none and process on 1 and 2 CPUs, twice each", cells)
	}
	if left := marked(t.Name()); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	if paths, _ := filepath.Glob(filepath.Join(dir, "stackmeter", "*.journal*")); len(paths) > 0 {
		t.Errorf("journals are left: %v", paths)
	}
}

// TestRootlessInterruptAndResume sends the signal to the program alone, as kill(1) does, and
// goes on.
func TestRootlessInterruptAndResume(t *testing.T) {
	if testing.Short() {
		t.Skip("measures on the rig")
	}
	alone(t)
	dir := nobodysDir(t)
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 3, "nics: [1, 2]"))
	p := asNobody(t, prepare(t, dir, "study", "tiny.yaml", "--out", "r"), dir).start()
	until(t, "a trial", func() bool { return trials(filepath.Join(dir, "r")) > 0 })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(1, 2*time.Second)
	if left := marked(t.Name()); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	asNobody(t, prepare(t, dir, "study", "--resume", "r"), dir).start().wait(0, time.Minute)
	if n := trials(filepath.Join(dir, "r")); n != 6 {
		t.Errorf("%d trials, want 6", n)
	}
}
