package knob

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// keep sets the MTU of sm0 in a journal of its own that stays.
func keep(t *testing.T, root host.Root, dir, name, mtu string) {
	t.Helper()
	j, err := NewJournal(root, dir)
	if err != nil {
		t.Error(err)
		return
	}
	put(t, NewSet(root, j), MTU(root, "sm0"), mtu)
	if err := j.Keep(name); err != nil {
		t.Error(err)
	}
}

func TestKeptStaysUntilUndone(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(root host.Root) {
		keep(t, root, dir, "first", "1400")
		keep(t, root, dir, "nothing", "1400")
		keep(t, root, dir, "second", "1300")
		if r, err := Recover(t.Context(), root, dir); err != nil || len(r.Restored) > 0 {
			t.Errorf("recover undid what is kept: %+v, %v", r, err)
		}
		reads(t, MTU(root, "sm0"), "1300")
		all, err := KeptIn(dir)
		if err != nil || len(all) != 2 || all[0].Name != "first" || all[1].Name != "second" {
			t.Errorf("kept: %+v, %v", all, err)
			return
		}
		if c := all[1].Changes; len(c) != 1 || c[0] != (Change{"mtu", "sm0", "1400", "1300"}) {
			t.Errorf("changes: %+v", c)
		}
		for i, want := range []string{"1400", "1500"} {
			r, err := Undo(root, all[1-i])
			if err != nil || r.Err() != nil || len(r.Restored) != 1 {
				t.Errorf("undo: %+v, %v", r, err)
			}
			reads(t, MTU(root, "sm0"), want)
		}
		if left := journals(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
