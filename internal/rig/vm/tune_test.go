package vm_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// cards are the guest's NICs that settings are tried on, one of each driver.
var cards = []string{"srv0", "old0", "old1", "pcie0", "vmx0"}

// sharers are two cards that share an interrupt, which neither may steer.
var sharers = []string{"old1", "old2"}

// perQueue is a list of CPUs for each of two queues, and multiQueue are the cards that have as many.
const perQueue = "3 2"

var multiQueue = []string{"srv0", "vmx0"}

// values aretried in this order; those that a driver can't have are skipped.
var values = []struct{ name, value string }{
	{"combined-channels", "2"},
	{"rss", "0*3,1"},
	{"rss", "equal 1"},
	{"irq-affinity", "all"},
	{"irq-affinity", perQueue},
	{"irq-affinity", "spread"},
	{"mtu", "1400"},
	{"rx-ring", "128"},
	{"rx-usecs", "30"},
	{"rx-checksum", "off"},
	{"tso", "off"},
	{"gro", "off"},
	{"rps", "1-2"},
	{"rfs", "1024"},
	{"xps", "off"},
	{"xps", "3"},
	{"gro-flush-timeout", "20000"},
	{"threaded-napi", "on"},
	{"qdisc", "fq"},
}

// settable is what each card's driver must let be set, so that the test can't pass with nothing
// tried.
var settable = map[string][]string{
	"srv0":  {"irq-affinity", "combined-channels", "rss", "mtu", "rps", "xps", "rfs", "tso", "gro", "rx-ring", "gro-flush-timeout", "threaded-napi", "qdisc"},
	"old0":  {"irq-affinity", "mtu", "rps", "rfs", "rx-ring", "tso", "gro", "rx-checksum"},
	"old1":  {"rx-ring", "gro", "rps"},
	"pcie0": {"irq-affinity", "mtu", "rx-usecs", "rx-ring", "gro", "rps"},
	"vmx0":  {"irq-affinity", "mtu", "gro", "rps", "rx-ring"},
}

// up brings all cards up: most drivers ask for their interrupts then.
func up(t *testing.T) {
	t.Helper()
	for _, name := range append([]string{"old2"}, cards...) {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			t.Fatalf("bring %s up: %v", name, err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		late := ""
		for _, name := range cards {
			link, err := netlink.LinkByName(name)
			if err != nil {
				t.Fatal(err)
			}
			if link.Attrs().OperState != netlink.OperUp {
				late = name
			}
		}
		if late == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no carrier", late)
		}
	}
}

// read are the values of the NICs that were handed over that can be read.
func read(m *tune.Machine) map[string]string {
	out := map[string]string{}
	for _, i := range m.Items() {
		if i.Scope != tune.NIC {
			continue
		}
		if v, err := i.Read(); err == nil {
			out[i.Target+" "+i.Name] = v
		}
	}
	return out
}

// same tells where two readings differ.
func same(before, after map[string]string) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if v, ok := after[k]; !ok || v != before[k] {
			errs = append(errs, fmt.Errorf("%s: was %q, is %q", k, before[k], v))
		}
	}
	return errors.Join(errs...)
}

// insideSettings sets every value worth trying of every card, reads it back, and puts it back.
func insideSettings(t *testing.T) {
	up(t)
	dir, err := knob.Dir(host.Live())
	if err != nil {
		t.Fatal(err)
	}
	for i, nic := range sharers {
		_, said, code := tryProgram(t, "tune", "set", "irq-affinity=1", "--nic", nic)
		if other := sharers[1-i]; code != 2 || !strings.Contains(said, other) {
			t.Errorf("irq-affinity of %s: exit code %d, %s; wanted a refusal that names %s", nic, code, said, other)
		}
	}
	for _, nic := range cards {
		t.Run(nic, func(t *testing.T) {
			m := &tune.Machine{Root: host.Live(), NICs: []string{nic}}
			before := read(m)
			done := map[string]int{}
			for _, v := range values {
				if v.value == perQueue && !slices.Contains(multiQueue, nic) {
					continue // more lists than queues are refused
				}
				i, err := m.Item(v.name, nic)
				if err != nil {
					t.Fatal(err)
				}
				w, err := i.Want(v.value)
				if err != nil {
					t.Fatal(err)
				}
				if plan, _, err := tune.Possible([]tune.Want{w}, true); err != nil {
					t.Errorf("%s=%s: %v", v.name, v.value, err)
				} else if len(plan) > 0 && setAndRestore(t, m, dir, w) {
					done[v.name]++
				}
				if now, err := i.Read(); err == nil && now != before[nic+" "+v.name] {
					t.Errorf("after %s=%s was put back it is %q, before it was %q", v.name, v.value, now, before[nic+" "+v.name])
				}
			}
			if err := same(before, read(m)); err != nil {
				t.Errorf("when all was put back: %v", err)
			}
			t.Logf("%s: set and restored %v", nic, done)
			for _, name := range settable[nic] {
				if done[name] == 0 {
					t.Errorf("%s of %s could not be set", name, nic)
				}
			}
		})
	}
}

// setAndRestore reports whether the value could be had; if not all must be as before, which the
// caller checks.
func setAndRestore(t *testing.T, m *tune.Machine, dir string, w tune.Want) bool {
	t.Helper()
	out, err := tune.Commit(t.Context(), m.Root, dir, "test", []tune.Want{w})
	if back := out.Back.Err(); back != nil {
		t.Errorf("%s=%s: %v, and not put back: %v", w.Item.Name, w.Value, err, back)
	}
	if err != nil {
		if !host.IsNotSupported(err) {
			t.Errorf("%s=%s: %v", w.Item.Name, w.Value, err)
		} else {
			t.Logf("%s=%s: %v", w.Item.Name, w.Value, err)
		}
		return false
	}
	for _, s := range tune.States([]tune.Want{w}) {
		if s.Err != nil || s.Differs() {
			t.Errorf("%s=%s: set, and then it is %s (%v)", w.Item.Name, w.Value, s.Now, s.Err)
		}
	}
	kept, err := knob.KeptIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(kept) - 1; n >= 0; n-- {
		r, err := knob.Undo(m.Root, kept[n])
		if err = errors.Join(err, r.Err()); err != nil || len(r.Foreign) > 0 {
			t.Errorf("%s=%s: restore: %v; changed by others: %v", w.Item.Name, w.Value, err, r.Foreign)
		}
	}
	return true
}

// insideKill kills an apply early and late: the next command puts all back.
func insideKill(t *testing.T) {
	const profile = `version: 1
nic:
  rx-ring: 128
  combined-channels: 2
  mtu: 1400
  gro: off
  irq-affinity: "1"
  rps: 1-2
  xps: "3"
  rfs: 1024
`
	file := t.TempDir() + "/profile.yaml"
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &tune.Machine{Root: host.Live(), NICs: []string{"srv0", "vmx0"}}
	before := read(m)
	args := []string{"tune", "apply", file, "--skip-unsupported", "--nic", "srv0,vmx0"}
	program(t, args...)
	if same(before, read(m)) == nil {
		t.Error("the profile changes nothing")
	}
	program(t, "tune", "restore")
	if err := same(before, read(m)); err != nil {
		t.Fatalf("after an apply that was not killed, and restore: %v", err)
	}
	for _, mark := range []string{"srv0/mtu", "srv0/queues/rx-0/rps_cpus"} {
		if !killAt(t, "/sys/class/net/"+mark, args...) {
			t.Errorf("apply ended before it could be killed at %s", mark)
		} else if same(before, read(m)) == nil {
			t.Errorf("killed at %s, and nothing is changed", mark)
		}
		program(t, "tune", "restore")
		if err := same(before, read(m)); err != nil {
			t.Errorf("killed at %s, and restored: %v", mark, err)
		}
	}
}
