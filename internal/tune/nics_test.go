package tune

import (
	"os"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// TestNICs sets and puts back, one by one, every setting that NICs of this machine
// have: STACKMETER_TEST_NICS=eth1,eth2 names them. They lose their traffic for a moment. It is
// meant for a virtual machine with emulated NICs, whose drivers have interrupts, rings and coalescing.
func TestNICs(t *testing.T) {
	names := os.Getenv("STACKMETER_TEST_NICS")
	if names == "" {
		t.Skip("changes every setting of real NICs: name them in STACKMETER_TEST_NICS to run it")
	}
	m := &Machine{Root: host.Live(), NICs: strings.Split(names, ",")}
	if err := m.Validate(false, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	done := 0
	for _, i := range m.Items() {
		before := snapshot(m)
		now, err := i.Read()
		if err != nil || i.Scope != NIC {
			continue
		}
		for _, v := range others(i, now) {
			w, err := i.Want(v)
			if err != nil {
				continue
			}
			if _, _, err := Possible([]Want{w}, false); err != nil {
				t.Logf("%s of %s: not %s: %v", i.Name, i.Target, v, err)
				continue
			}
			o, err := Commit(t.Context(), m.Root, dir, i.Name, []Want{w})
			if err != nil {
				t.Logf("%s of %s: %s -> %s refused: %v", i.Name, i.Target, now, v, err)
				if o.Back.Err() != nil {
					t.Errorf("%s of %s: not put back: %v", i.Name, i.Target, o.Back.Err())
				}
				compare(t, i.Name+" refused", before, snapshot(m))
				continue
			}
			s := States([]Want{w})[0]
			t.Logf("%s of %s: %s -> %s (%d changes)", i.Name, i.Target, now, s.Now, len(o.Changed))
			if s.Differs() || len(o.Changed) == 0 {
				t.Errorf("%s of %s: wanted %s, is %s", i.Name, i.Target, v, s.Now)
			}
			putBack(t, m.Root, dir)
			compare(t, i.Name+" put back", before, snapshot(m))
			done++
			break
		}
	}
	if done == 0 {
		t.Error("nothing could be set")
	}
	t.Logf("%d settings were set and put back", done)
}

// others are values other than that in force, to be tried in turn.
func others(i Item, now string) []string {
	flip := map[string]string{"on": "off", "off": "on", "default": "pfifo"}
	if v, ok := flip[now]; ok && i.Name != "rps" && i.Name != "xps" {
		return []string{v}
	}
	var out []string
	for _, v := range []string{"spread", "all", "128", "256", "512", "40", "1400", "2", "1", "0", "30000"} {
		if v != now {
			out = append(out, v)
		}
	}
	return out
}
