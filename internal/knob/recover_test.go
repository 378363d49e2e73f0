package knob

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

func TestRecoverAfterKill(t *testing.T) {
	for _, cut := range []string{"whole", "half line after", "last change not made"} {
		t.Run(cut, func(t *testing.T) {
			dir := t.TempDir()
			inVeth(t, func(root host.Root) {
				want := wanted(root, "sm0")
				before := values(t, want)
				cmd := startVictim(t, dir)
				changed := values(t, want)
				r, err := Recover(t.Context(), root, dir)
				if err != nil || len(r.InUse) != 1 || r.InUse[0].Task.PID != cmd.Process.Pid || len(r.Restored) > 0 {
					t.Errorf("while the owner lives: %+v, %v", r, err)
				}
				compare(t, changed, values(t, want))
				cmd.Process.Kill()
				cmd.Wait()
				path := journals(t, dir)[0]
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Error(err)
					return
				}
				switch cut {
				case "half line after":
					f.WriteString(`{"type":"change","seq":99,"kind":"mtu","key":"sm1","ol`)
				case "last change not made":
					line, _ := json.Marshal(entry{Type: "change", Seq: 99, Kind: "mtu", Key: "sm0", Old: "1300", New: "1299"})
					f.Write(append(line, '\n'))
				}
				f.Close()
				r, err = Recover(t.Context(), root, dir)
				if err != nil || r.Err() != nil || len(r.Foreign) > 0 || len(r.Restored) < 6 {
					t.Errorf("recover: %+v, %v", r, err)
				}
				if got := len(r.Notes); (got == 1) != (cut == "half line after") {
					t.Errorf("notes: %q", r.Notes)
				}
				compare(t, before, values(t, want))
				if left := journals(t, dir); len(left) > 0 {
					t.Errorf("journals left: %v", left)
				}
			})
		})
	}
}

// TestRecoverFromElsewhere restores settings of a namespace that the caller is not in, and
// drops those of one that is gone.
func TestRecoverFromElsewhere(t *testing.T) {
	dir := t.TempDir()
	var before, after map[string]string
	inVeth(t, func(root host.Root) {
		want := wanted(root, "sm0")
		before = values(t, want)
		cmd := startVictim(t, dir)
		holder := exec.Command("sleep", "60")
		if err := holder.Start(); err != nil {
			t.Error(err)
		}
		defer holder.Wait()
		defer holder.Process.Kill()
		cmd.Process.Kill()
		cmd.Wait()
		done := make(chan struct{})
		go func() { // on another thread, in the machine's namespace
			defer close(done)
			r, err := Recover(t.Context(), host.Live(), dir)
			if err != nil || r.Err() != nil || len(r.Restored) < 6 {
				t.Errorf("recover: %+v, %v", r, err)
			}
		}()
		<-done
		after = values(t, want)
		startVictim(t, dir).Process.Kill()
	})
	compare(t, before, after)
	var r Report
	var err error
	for range 50 { // the kernel frees a namespace some time after its last process
		if r, err = Recover(t.Context(), host.Live(), dir); len(r.InUse) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || len(r.Failed) > 0 {
		t.Errorf("namespace gone: %+v, %v", r, err)
	}
	if left := journals(t, dir); len(left) > 0 {
		t.Errorf("journals left: %v", left)
	}
}

func writeJournal(t *testing.T, lines ...string) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "1-x"+suffix)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func TestMalformedJournalIsKept(t *testing.T) {
	value := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(value, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, path := writeJournal(t, `{"type":"owner"}`,
		`{"type":"change","seq":1,"kind":"file","key":"`+value+`","old":"old","new":"new"}`, `not json`)
	r, err := Recover(t.Context(), host.Live(), dir)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("error %v names not %s and line 3", err, path)
	}
	if b, _ := os.ReadFile(value); string(b) != "old" || len(r.Restored) != 1 {
		t.Errorf("the readable change was not undone: %q, %+v", b, r)
	}
	if b, err := os.ReadFile(path + ".bad"); err != nil || !strings.Contains(string(b), "not json") {
		t.Errorf("kept file: %q, %v", b, err)
	}
	if _, err := Recover(t.Context(), host.Live(), dir); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestFailureKeepsTheJournal(t *testing.T) {
	dir, path := writeJournal(t, `{"type":"owner"}`,
		`{"type":"change","seq":1,"kind":"file","key":"/proc/version","name":"version","old":"none","new":"`+version(t)+`"}`)
	for range 2 {
		r, err := Recover(t.Context(), host.Live(), dir)
		if err != nil || len(r.Failed) != 1 || r.Failed[0].Command != "echo 'none' > /proc/version" {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestForget gives up one of two failures, and then the other.
func TestForget(t *testing.T) {
	line := func(seq int) string {
		return fmt.Sprintf(`{"type":"change","seq":%d,"kind":"file","key":"/proc/version","name":"version","old":"none","new":"%s"}`, seq, version(t))
	}
	dir, _ := writeJournal(t, `{"type":"owner"}`, line(1), line(2))
	for left := 2; left > 0; left-- {
		if n, err := Pending(host.Live(), dir); err != nil || n != left {
			t.Errorf("%d pending, %v, want %d", n, err, left)
		}
		r, err := Recover(t.Context(), host.Live(), dir)
		if err != nil || len(r.Failed) != left {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := Forget(r.Failed[:1]); err != nil {
			t.Error(err)
		}
	}
	if n, err := Pending(host.Live(), dir); err != nil || n > 0 || len(journals(t, dir)) > 0 {
		t.Errorf("%d pending, %v; journals %v", n, err, journals(t, dir))
	}
}

// TestFailureAfterCutLine tries a journal twice whose last line is cut off.
func TestFailureAfterCutLine(t *testing.T) {
	dir, path := writeJournal(t, `{"type":"owner"}`,
		`{"type":"change","seq":1,"kind":"file","key":"/proc/version","old":"none","new":"`+version(t)+`"}`,
		`{"type":"change","seq":2,"kind":"file","key":"/proc/sys/kernel/ostype","old":"Linux","new":"Linux"}`)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"type":"change","seq":3,"ki`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		if r, err := Recover(t.Context(), host.Live(), dir); err != nil || len(r.Failed) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func version(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestProcesses(t *testing.T) {
	root := host.Live()
	start := func() (*exec.Cmd, host.Task) {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		task, err := root.Task(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return cmd, task
	}
	ours, task := start()
	_, recycled := start()
	recycled.StartTicks-- // an earlier process had the number
	line := func(x host.Task) string {
		b, err := json.Marshal(entry{Type: "process", Seq: x.PID, Task: &x, Exe: root.Exe(x.PID)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	dir, _ := writeJournal(t, `{"type":"owner"}`, line(task), line(recycled))
	r, err := Recover(t.Context(), root, dir)
	if err != nil || len(r.Killed) != 1 || r.Killed[0] != task {
		t.Errorf("%+v, %v", r, err)
	}
	if err := ours.Wait(); err == nil {
		t.Error("our process ended by itself")
	}
	if err := unix.Kill(recycled.PID, 0); err != nil {
		t.Errorf("the stranger with a recycled number: %v", err)
	}
	k := Thread(root, recycled)
	if err := k.Write("0"); !gone(err) {
		t.Errorf("affinity of a recycled number: %v", err)
	}
}

func TestRebootDropsChanges(t *testing.T) {
	dir, _ := writeJournal(t, `{"type":"owner","owner":{"boot_id":"another"}}`,
		`{"type":"change","seq":1,"kind":"file","key":"/proc/version","old":"a","new":"b"}`)
	r, err := Recover(t.Context(), host.Live(), dir)
	if err != nil || len(r.Gone) != 1 || len(journals(t, dir)) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// leaving is a NIC's setting while the kernel unregisters the NIC.
type leaving struct {
	Knob
	reads int
}

func (l *leaving) Read() (string, error) {
	if l.reads++; l.reads > 2 {
		return "", unix.ENODEV
	}
	return "1400", nil
}

func (*leaving) Write(string) error { return unix.EINVAL }

func TestLeavingNICIsGone(t *testing.T) {
	var r Report
	k := &leaving{Knob: MTU(host.Live(), "sm0")}
	if !undo(host.Live(), k, &entry{Type: "change", Old: "1500", New: "1400"}, &r) || len(r.Gone) != 1 || len(r.Failed) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestUnnamedJournalsAreSwept(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	mine, dead, young := fmt.Sprintf("%d-1.new", os.Getpid()), "999999999-1.new", "999999998-1.new"
	for _, n := range []string{mine, dead, young} {
		path := filepath.Join(dir, n)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if n != young {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Recover(t.Context(), host.Live(), dir); err != nil {
		t.Error(err)
	}
	for n, left := range map[string]bool{mine: true, dead: false, young: true} {
		if _, err := os.Stat(filepath.Join(dir, n)); (err == nil) != left {
			t.Errorf("%s: %v, want it left: %v", n, err, left)
		}
	}
}
