package knob

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

func TestSetRestoresEveryKnob(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(root host.Root) {
		want := wanted(root, "sm0")
		before := values(t, want)
		j, err := NewJournal(root, dir)
		if err != nil {
			t.Error(err)
			return
		}
		s := NewSet(root, j)
		for _, w := range want {
			if err := s.Put(context.Background(), w.Knob, w.Value); err != nil {
				t.Errorf("put: %v", err)
			}
			if v, err := w.Knob.Read(); err != nil || v != w.Value {
				t.Errorf("%s reads %q, %v, wanted %q", w.Knob.Info().Name, v, err, w.Value)
			}
		}
		rec, err := s.Record("server:")
		if err != nil || len(rec) != len(want)-1 || rec[0].Target != "server:sm0" || rec[0].Value != "1" {
			t.Errorf("record: %+v, %v", rec, err)
		}
		napis, err := root.NAPIs("sm0")
		if err != nil || len(napis) == 0 || napis[0].PID == 0 {
			t.Errorf("threaded NAPI instances: %+v, %v", napis, err)
		} else if task, err := root.Task(napis[0].PID); err != nil {
			t.Error(err)
		} else if err := s.Put(context.Background(), Thread(root, task), "0"); err != nil {
			t.Errorf("pin the NAPI thread: %v", err)
		}
		// Only the MTU is wanted from here on.
		if err := s.Apply(context.Background(), []Setting{{MTU(root, "sm0"), "1280"}}); err != nil {
			t.Errorf("apply: %v", err)
		}
		if v, _ := ThreadedNAPI(root, "sm0").Read(); v != "0" {
			t.Errorf("threaded NAPI is %q after it was no longer wanted", v)
		}
		r := s.Restore()
		if r.Err() != nil || len(r.Foreign) > 0 {
			t.Errorf("restore: %+v", r)
		}
		compare(t, before, values(t, want))
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if left := journals(t, dir); len(left) > 0 {
			t.Errorf("journal left: %v", left)
		}
	})
}

func TestForeignChangeIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(root host.Root) {
		j, err := NewJournal(root, dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer j.Close()
		s, k := NewSet(root, j), MTU(root, "sm0")
		if err := s.Put(context.Background(), k, "1400"); err != nil {
			t.Error(err)
		}
		if err := k.Write("1450"); err != nil {
			t.Error(err)
		}
		var not *NotInForceError
		if err := s.Verify(); !errors.As(err, &not) || not.Want != "1400" || not.Got != "1450" {
			t.Errorf("verify: %v", err)
		}
		r := s.Restore()
		if v, _ := k.Read(); v != "1450" || len(r.Foreign) != 1 {
			t.Errorf("MTU %s, report %+v", v, r)
		}
	})
}

func TestIRQAffinity(t *testing.T) {
	root := host.Live()
	all, err := root.Interrupts()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		if len(in.Actions) != 1 || in.Actions[0] != "virtio0-inflate" {
			continue
		}
		if uid, err := root.OutsideUID(); err != nil || uid != 0 {
			t.Skip("needs root of the machine: sets an interrupt's affinity")
		}
		k := IRQ(root, in.IRQ)
		before, err := k.Read()
		if err != nil {
			t.Fatal(err)
		}
		j, err := NewJournal(root, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := NewSet(root, j)
		if err := s.Put(t.Context(), k, "0"); err != nil {
			t.Error(err)
		}
		if r := s.Restore(); r.Err() != nil {
			t.Error(r.Err())
		}
		if after, _ := k.Read(); after != before {
			t.Errorf("affinity was %s, is %s", before, after)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	t.Skip("no harmless interrupt here (virtio balloon's)")
}

func TestStaleSysfsIsRefused(t *testing.T) {
	inVeth(t, func(root host.Root) {
		stale := host.Live() // the machine's sysfs, seen from inside the namespace
		if err := stale.CheckNIC("sm0"); err == nil {
			t.Error("sm0 was found in a sysfs of another namespace")
		}
		if err := stale.CheckNIC("lo"); err != nil {
			t.Errorf("lo is the same everywhere: %v", err)
		}
		if err := root.CheckNIC("sm0"); err != nil {
			t.Error(err)
		}
		before, err := MTU(stale, "lo").Read()
		if err != nil {
			t.Error(err)
		}
		// eth0 exists in the machine's sysfs on most hosts, and not in this namespace.
		nics, err := stale.NICs()
		if err != nil {
			t.Error(err)
		}
		for _, n := range nics {
			if err := MTU(stale, n.Name).Write("1280"); err == nil {
				t.Errorf("%s of another namespace was written", n.Name)
			}
		}
		if after, _ := MTU(stale, "lo").Read(); after != before {
			t.Errorf("lo: %s, was %s", after, before)
		}
	})
}

// denied is a knob that this process may read only.
type denied struct{ Knob }

func (denied) Write(string) error { return unix.EPERM }

func TestNoPermissionIsNotSupported(t *testing.T) {
	root := host.Live()
	j, err := NewJournal(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(root, j)
	if err := s.Put(t.Context(), denied{File(root, "/proc/version", "version", "")}, "other"); !host.IsNotSupported(err) {
		t.Errorf("put: %v", err)
	}
	if r := s.Restore(); r.Err() != nil || len(r.Restored)+len(r.Foreign) > 0 {
		t.Errorf("restore of what was never set: %+v", r)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(j.Path()); err == nil {
		t.Error("the journal is left")
	}
}
