package knob

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// TestHotplug takes the last CPU off and back. It disturbs every process of the
// machine, so it runs when asked for.
func TestHotplug(t *testing.T) {
	if os.Getenv("STACKMETER_TEST_HOTPLUG") == "" {
		t.Skip("takes a CPU off the machine for a moment: set STACKMETER_TEST_HOTPLUG=1 to run it")
	}
	root := host.Live()
	online, err := root.CPUsOnline()
	if err != nil {
		t.Fatal(err)
	}
	last := online[len(online)-1]
	if len(online) < 2 {
		t.Skip("needs two CPUs")
	}
	pinned := exec.Command("yes") // runs, so that the kernel has to move it
	if err := pinned.Start(); err != nil {
		t.Fatal(err)
	}
	defer pinned.Wait()
	defer pinned.Process.Kill()
	if err := sysx.SetAffinity(pinned.Process.Pid, []int{last}); err != nil {
		t.Fatal(err)
	}
	task, err := root.Task(pinned.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	// An affinity that the kernel must break: it does not give it back by itself.
	all, err := root.Interrupts()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		if len(in.Actions) != 1 || in.Actions[0] != "virtio0-inflate" {
			continue
		}
		k := IRQ(root, in.IRQ)
		old, err := k.Read()
		if err == nil {
			err = k.Write(host.CPUs(last).String())
		}
		if err != nil {
			t.Fatal(err)
		}
		defer k.Write(old)
	}
	few := online.Without(host.CPUs(last)).String()
	noted, err := bystanders(root, online.String(), few)
	if err != nil {
		t.Fatal(err)
	}
	for _, recovered := range []bool{false, true} {
		dir := t.TempDir()
		j, err := NewJournal(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSet(root, j)
		start := time.Now()
		if err := s.Put(t.Context(), CPUsInUse(root), few); err != nil {
			t.Errorf("take CPU %d off: %v", last, err)
		}
		off := time.Since(start)
		time.Sleep(20 * time.Millisecond)
		if v, _ := Thread(root, task).Read(); v == host.CPUs(last).String() {
			t.Errorf("the thread is still pinned to CPU %d, which is off", last)
		}
		var r Report
		if recovered { // as if the process had died
			j.f.Close()
			r, err = Recover(t.Context(), root, dir)
		} else {
			r = s.Restore()
			err = j.Close()
		}
		t.Logf("off %v, whole %v, noted %d, restored %d", off, time.Since(start), len(noted), len(r.Restored))
		if err != nil || r.Err() != nil {
			t.Errorf("restore: %+v, %v", r, err)
		}
		if v, err := Thread(root, task).Read(); err != nil || v != host.CPUs(last).String() {
			t.Errorf("the pinned thread is at %q, %v", v, err)
		}
		for _, e := range noted {
			k, err := open(root, e.Kind, e.Key)
			if err != nil {
				t.Error(err)
				continue
			}
			if v, err := k.Read(); (err != nil && !gone(err)) || (err == nil && v != e.Old) {
				t.Errorf("%s of %s was %q, is %q, %v", e.Name, e.Target, e.Old, v, err)
			}
		}
		if now, err := root.CPUsOnline(); err != nil || now.String() != online.String() {
			t.Fatalf("CPUs online: %v, %v", now, err)
		}
	}
}

func TestBootCPUIsNotSupported(t *testing.T) {
	root := host.Live()
	if _, err := os.Stat(root.CPUDir() + "/cpu0/online"); err == nil {
		t.Skip("CPU 0 can be taken off here")
	}
	online, err := root.CPUsOnline()
	if err != nil || len(online) < 2 {
		t.Skip("needs two CPUs")
	}
	if err := CPUsInUse(root).Write(online.Without(host.CPUs(0)).String()); !host.IsNotSupported(err) {
		t.Errorf("taking CPU 0 off: %v", err)
	}
	if now, _ := root.CPUsOnline(); now.String() != online.String() {
		t.Errorf("CPUs online: %v", now)
	}
}
