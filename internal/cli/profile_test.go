package cli_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/stackmeter/stackmeter/internal/profile"
)

// loadedPrograms counts the BPF programs of profiles that the kernel has.
func loadedPrograms(t *testing.T) (n int) {
	t.Helper()
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		info, err := p.Info()
		p.Close()
		if err != nil {
			continue
		}
		for _, prefix := range []string{"light_", "frame_", "flow_", "lock_content"} {
			if strings.HasPrefix(info.Name, prefix) {
				n++
			}
		}
	}
}

// TestProfileLeavesNothingLoaded ends a profile in every way and looks for its programs.
func TestProfileLeavesNothingLoaded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: programs are loaded")
	}
	before := loadedPrograms(t)
	for _, tc := range []struct {
		name   string
		signal syscall.Signal
		code   int
	}{{"kill", syscall.SIGKILL, -1}, {"interrupt", syscall.SIGINT, 1}} {
		p := prepare(t, t.TempDir(), "profile", "--duration", "30s").start()
		until(t, "programs of a profile", func() bool { return loadedPrograms(t) > before+10 })
		time.Sleep(200 * time.Millisecond) // some are attached by now
		if err := p.cmd.Process.Signal(tc.signal); err != nil {
			t.Fatal(err)
		}
		p.wait(tc.code, 5*time.Second)
		until(t, "the programs gone after "+tc.name, func() bool { return loadedPrograms(t) <= before })
		if tc.signal == syscall.SIGINT && !strings.Contains(p.stderr.String(), "interrupted; nothing is loaded") {
			t.Errorf("stderr: %s", p.stderr.String())
		}
	}
}

// TestProfileWithoutRights has what remains and says what is missing.
func TestProfileWithoutRights(t *testing.T) {
	dir := nobodysDir(t)
	p := asNobody(t, prepare(t, dir, "profile", "--duration", "1s", "--json", "--out", filepath.Join(dir, "kept")), dir).start()
	p.wait(0, 20*time.Second)
	var x profile.Profile
	if err := json.Unmarshal([]byte(p.stdout.String()), &x); err != nil {
		t.Fatalf("%v: %s", err, p.stdout.String())
	}
	if len(x.Passes) != 1 || x.Sampling != nil || x.Frame != nil {
		t.Errorf("passes %+v without rights", x.Passes)
	}
	if x.Counters["stat.ctxt"] == 0 || x.Counters["interrupts.loc"] == 0 {
		t.Errorf("counters %v", x.Counters)
	}
	var said []string
	for _, l := range x.Limits {
		if l.Why == "" || l.Mend == "" {
			t.Errorf("limit %+v does not say why, or what mends it", l)
		}
		said = append(said, l.What)
	}
	for _, pass := range profile.Passes() {
		if !strings.Contains(strings.Join(said, "\n"), "pass "+pass) {
			t.Errorf("does not say that pass %s is missing: %q", pass, said)
		}
	}
}
