package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestRootlessWire routes interrupts as a user without rights.
func TestRootlessWire(t *testing.T) {
	if testing.Short() {
		t.Skip("measures on the rig")
	}
	if b, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || strings.TrimSpace(string(b)) == "0" {
		t.Skip("this kernel gives users no namespaces")
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skip("taps can't be made here:", err)
	} else if st, err := f.Stat(); err != nil || f.Close() != nil || st.Mode().Perm()&0o006 != 0o006 {
		t.Skip("/dev/net/tun is not for everybody")
	}
	alone(t)
	dir := nobodysDir(t)
	write(t, dir, "tiny.yaml", "rig: wire\n"+fmt.Sprintf(tiny, 1, "affinity: [irq, both], bus: [separate, shared], nics: [2]"))
	p := asNobody(t, prepare(t, dir, "study", "tiny.yaml", "--out", "r"), dir).start()
	p.wait(0, time.Minute)
	if strings.Contains(p.stderr.String(), "left out") || strings.Contains(p.stderr.String(), "irq-affinity") {
		t.Errorf("something is lost:\n%s", p.stderr.String())
	}
	d, err := result.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.Rig != "wire" || len(d.Trials) != 4 {
		t.Errorf("rig %s, %d trials; want 4 on wire", d.Manifest.Rig, len(d.Trials))
	}
	for _, tr := range d.Trials {
		routed := slices.ContainsFunc(tr.Knobs, func(k trial.Knob) bool { return k.Mechanism == "wire-irq" && k.Target == "server:srv1" })
		if tr.Status != trial.OK || tr.ThroughputBitsPerSecond <= 0 || !routed || tr.Counters["server.srv0.interrupts"] == 0 {
			t.Errorf("trial %s: %s %s, routed %v, %d interrupts", tr.ID, tr.Status, tr.Error, routed, tr.Counters["server.srv0.interrupts"])
		}
	}
	if left := marked(t.Name()); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
}

// TestKillWire kills the controller of a study on NICs in software, and wants nothing left.
func TestKillWire(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 50, "nics: [2], affinity: [both]"))
	p := prepare(t, dir, "study", "tiny.yaml", "--rig", "wire", "--out", "r").start()
	until(t, "a trial", func() bool { return trials(filepath.Join(dir, "r")) > 0 })
	if n := len(children(t, p.cmd.Process.Pid)); n != 5 {
		t.Errorf("the controller has %d processes, want two agents, the hardware and two hosts' interrupts", n)
	}
	kill(t, p, false)
	_ = p.cmd.Wait()
	until(t, "all processes end", func() bool { return len(marked(t.Name())) == 0 })
	run(t, dir, 0, "version")
	asWas(t)
}

// TestRigRefused wants rigs that can't be meant refused before anything is made.
func TestRigRefused(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		`"token-ring" is no built-in rig`: {"--rig", "token-ring"},
		"leave one of them out":           {"--rig", "wire", "--nic", "eth7", "--peer", "192.0.2.1"},
	} {
		p := run(t, dir, 2, append([]string{"study", "quick"}, args...)...)
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("%v: %s, want %q", args, p.stderr.String(), want)
		}
	}
}
