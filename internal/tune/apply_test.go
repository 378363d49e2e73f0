package tune

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// putBack undoes all that is kept in dir, latest first.
func putBack(t *testing.T, root host.Root, dir string) {
	t.Helper()
	all, err := knob.KeptIn(dir)
	if err != nil {
		t.Error(err)
	}
	for n := range all {
		r, err := knob.Undo(root, all[len(all)-1-n])
		if err != nil || r.Err() != nil || len(r.Foreign) > 0 {
			t.Errorf("undo: %+v, %v", r, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left in the directory of the journals: %v", left)
	}
}

func TestEveryKnobIsSetAndPutBack(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(m *Machine) {
		before := snapshot(m)
		plan := have(t, parse(t, m, whole))
		compare(t, "looking", before, snapshot(m))
		o, err := Commit(t.Context(), m.Root, dir, "whole", plan)
		if err != nil {
			t.Errorf("commit: %v\n%+v", err, o.Back)
			return
		}
		changed := map[string]bool{}
		for _, c := range o.Changed {
			changed[c.Name] = true
		}
		for _, s := range States(plan) {
			if s.Err != nil || s.Differs() {
				t.Errorf("%s of %s: wanted %q, is %q, %v", s.Item.Name, s.Item.Target, s.Value, s.Now, s.Err)
			}
			if v := before[s.Item.Name+" of "+s.Item.Target]; v == s.Value {
				t.Errorf("%s of %s was %q before: nothing was tested", s.Item.Name, s.Item.Target, v)
			}
		}
		t.Logf("%d values, %d changes", len(plan), len(o.Changed))
		if again, err := Commit(t.Context(), m.Root, dir, "again", plan); err != nil || len(again.Changed) > 0 {
			t.Errorf("the second time: %+v, %v", again, err)
		}
		putBack(t, m.Root, dir)
		compare(t, "putting back", before, snapshot(m))
	})
}

// TestFailureChangesNothing asks for something that the kernel refuses only when it is
// written.
func TestFailureChangesNothing(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(m *Machine) {
		before := snapshot(m)
		for _, c := range []struct{ profile, want string }{
			{"version: 1\nhost: {net.core.somaxconn: 999, net.ipv4.tcp_congestion_control: nosuch}\nnic: {mtu: 1400}", "congestion_control = nosuch"},
			{"version: 1\nnic: {gro-flush-timeout: 1000, qdisc: nosuch}", "none of that kind"},
			{"version: 1\nnic: {mtu: 1400, rps: all, gso-max-size: 1000000}", "gso-max-size"},
			{"version: 1\nnics: {tn2: {gso: on, tso: on}}", "not in force"},
			{"version: 1\nnic: {mtu: 1400}\nnics: {tn2: {rx-frames: 100}}", "not in force: wanted \"100\", the kernel has \"64\""},
		} {
			o, err := Commit(t.Context(), m.Root, dir, "bad", parse(t, m, c.profile))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v does not say %q", c.profile, err, c.want)
			}
			if o.Back.Err() != nil || len(o.Changed) > 0 {
				t.Errorf("%s: %+v", c.profile, o)
			}
			compare(t, c.profile, before, snapshot(m))
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestImpossibleIsRefusedBefore(t *testing.T) {
	inVeth(t, func(m *Machine) {
		for _, c := range []struct {
			profile, want string
			unsupported   bool
		}{
			{"nic: {rx-ring: 512}", "the driver doesn't have it", true},
			{"nics: {tn0: {rx-channels: 5}}", "has at most 4", false},
			{"nics: {tn0: {irq-affinity: spread}}", "no interrupt that can be steered; use threaded-napi", true},
			{"nics: {tn0: {napi-cpus: spread}}", "set threaded-napi to on first", true},
			{"nics: {tn2: {xps: 0}}", "xps of tn2", true},
			{"nic: {rps: 4095}", "CPU 4095 is not online", false},
			{"nics: {tn2: {rps: 0 1 0 1 0 1}}", "6 lists for", false},
			{"nics: {tn2: {rps: 0|1}}", "for a queue that has 1", false},
			{"host: {net.core.netdev_budget: 600}", "network namespace", true},
			{"host: {net.core.rmem_default: 262144}", "own namespaces only", true},
		} {
			plan := parse(t, m, "version: 1\n"+c.profile)
			_, _, err := Possible(plan, false)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "[2:") {
				t.Errorf("%s: error %v does not say where, and %q", c.profile, err, c.want)
				continue
			}
			if host.IsNotSupported(err) != c.unsupported || errors.Is(err, host.ErrInput) == c.unsupported {
				t.Errorf("%s: kind of error: %v", c.profile, err)
			}
			rest, skipped, err := Possible(plan, true)
			if c.unsupported && (err != nil || len(skipped) == 0 || len(rest)+len(skipped) != len(plan)) {
				t.Errorf("%s: skipping leaves %d of %d, %v, %v", c.profile, len(rest), len(plan), skipped, err)
			}
			if !c.unsupported && err == nil {
				t.Errorf("%s: bad input was skipped", c.profile)
			}
		}
	})
}

func TestNothingIsTouchedThatWasNotHandedOver(t *testing.T) {
	inVeth(t, func(m *Machine) {
		m.NICs = []string{"tn0"}
		for profile, want := range map[string]string{
			"nics: {tn1: {mtu: 1400}}":   "give --nic tn1",
			"cpu: {governor: powersave}": "give --cpus LIST",
			"process: {affinity: 0}":     "give --process NAME",
			"cgroup: {cpus: 0}":          "give --cgroup DIR",
		} {
			p, err := ParseProfile([]byte("version: 1\n" + profile))
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := m.Plan(p); !errors.Is(err, host.ErrInput) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "[2:") {
				t.Errorf("%s: %v", profile, err)
			}
		}
		m.CPUs = host.CPUs(0)
		if _, _, err := Possible(parse(t, m, "version: 1\nnic: {rps: 1}"), false); err == nil || !strings.Contains(err.Error(), "CPU 1 was not handed over") {
			t.Errorf("steering to a CPU that was not handed over: %v", err)
		}
		if _, err := m.Item("mtu", "tn1"); !errors.Is(err, host.ErrInput) {
			t.Errorf("an item of tn1: %v", err)
		}
	})
}

func TestCgroup(t *testing.T) {
	const dir = "/sys/fs/cgroup/cpuset/stackmeter-tune-test"
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			t.Skipf("makes a cgroup of the v1 cpuset hierarchy: %v", err)
		}
		t.Fatal(err)
	}
	defer os.Remove(dir)
	m := &Machine{Root: host.Live(), Cgroups: []string{dir}}
	if err := m.Validate(false, ""); err != nil {
		t.Fatal(err)
	}
	before := snapshot(m)
	plan := parse(t, m, "version: 1\ncgroup: {cpus: 0, memory-nodes: 0}")
	journals := t.TempDir()
	if _, err := Commit(t.Context(), m.Root, journals, "cgroup", plan); err != nil {
		t.Fatal(err)
	}
	for _, s := range States(plan) {
		if s.Differs() || s.Now != "0" {
			t.Errorf("%s is %q", s.Item.Name, s.Now)
		}
	}
	putBack(t, m.Root, journals)
	compare(t, "putting back", before, snapshot(m))
}
