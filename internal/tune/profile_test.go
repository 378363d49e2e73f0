package tune

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

func TestFaultsNameFieldAndMend(t *testing.T) {
	for _, c := range []struct{ text, field, mend string }{
		{"", "", "want one YAML document"},
		{"nic: {gro: on}", "version", "write `version: 1`"},
		{"version: 2\nnic: {gro: on}", "version", "reads 1"},
		{"version: 1", "", "add a section"},
		{"version: 1\ncolour: red", "colour", "known are version"},
		{"version: 1\nnic: {gr0: on}", "nic.gr0", "stackmeter tune list"},
		{"version: 1\nnic: {rx_ring: 5}", "nic.rx_ring", "did you mean rx-ring"},
		{"version: 1\nhost: {netdev_budget: 5}", "host.netdev_budget", "did you mean net.core.netdev_budget"},
		{"version: 1\nnic: {gro: true}", "nic.gro", "want on or off"},
		{"version: 1\nnic: {mtu: 9k}", "nic.mtu", "want bytes, 68 to 65535"},
		{"version: 1\nnic: {mtu: 67}", "nic.mtu", "want bytes"},
		{"version: 1\nnic: {rps: 3-1}", "nic.rps", "want off, all, local"},
		{"version: 1\nnic: {rps: }", "nic.rps", "plain value"},
		{"version: 1\nnic: {governor: performance}", "nic.governor", `section "cpu"`},
		{"version: 1\nhost: {net.ipv4.tcp_rmem: 4096 5}", "host.net.ipv4.tcp_rmem", "want three numbers"},
		{"version: 1\nhost: {net.ipv4.tcp_rmem: [9, 8, 7]}", "host.net.ipv4.tcp_rmem", "from 9 up"},
		{"version: 1\nnic: {mtu: 1400, mtu: 1500}", "", "already defined"},
		{"version: 1\nnic: &a {mtu: 1400}", "nic", "name: value"},
		{"version: 1\nnic: 5", "nic", "name: value"},
		{"version: 1\nnics: {eth1: on}", "nics.eth1", "name: value"},
		{"version: 1\nnic: [", "", "is no YAML"},
		{"version: 1\n---\nversion: 1", "", "want one YAML document"},
		{"version: 1\nnic: {mtu: {a: b}}", "nic.mtu", "plain value"},
		{strings.Repeat("#", maxProfile+1), "", "at most"},
	} {
		_, err := ParseProfile([]byte(c.text))
		var f *FieldError
		if !errors.As(err, &f) || !errors.Is(err, host.ErrInput) {
			t.Errorf("%.60q: %v", c.text, err)
			continue
		}
		if f.Field != c.field || !strings.Contains(f.Text, c.mend) {
			t.Errorf("%.60q: field %q, %q; want %q and %q", c.text, f.Field, err, c.field, c.mend)
		}
		if strings.Count(c.text, "\n") == 1 && c.field != "" && c.field != "version" && f.Line != 2 {
			t.Errorf("%.60q: line %d", c.text, f.Line)
		}
	}
}

func TestValuesAreReadAsWritten(t *testing.T) {
	p, err := ParseProfile([]byte("version: 1\nname: 007\nnic:\n  gro: on\n  rps: 0-1,3\n  irq-affinity: [0, 2-3]\n  rfs: 0\nnics:\n  eth1: {gro: off, xps: '0 0'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range p.Values {
		got[v.NIC+"/"+v.Definition.Name] = v.Text
	}
	for k, want := range map[string]string{"/gro": "on", "/rps": "0-1,3", "/irq-affinity": "0 2-3", "/rfs": "0", "eth1/gro": "off", "eth1/xps": "0"} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
	if p.Name != "007" {
		t.Errorf("name %q", p.Name)
	}
}

// same reports whether two profiles say the same, whatever the order.
func same(a, b *Profile) bool {
	flat := func(p *Profile) []string {
		var out []string
		for _, v := range p.Values {
			out = append(out, strings.Join([]string{v.NIC, v.Definition.Name, v.Text}, "\x00"))
		}
		slices.Sort(out)
		return out
	}
	return a.Name == b.Name && a.About == b.About && slices.Equal(flat(a), flat(b))
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(few))
	f.Add([]byte("version: 1\nname: \"a: b # c\"\nabout: |\n  x\n   y\nnic: {rps: [0, 1|2]}\n"))
	f.Add([]byte("version: 1\ncpu: {governor: performance, idle-latency: any}\nprocess: {affinity: local}\ncgroup: {cpus: 0-3, memory-nodes: 0}"))
	f.Add([]byte("version: 1\nnics: {\"a b\": {gro: on}, 'é\\u0000': {mtu: 68}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProfile(b)
		if err != nil {
			var fault *FieldError
			if !errors.As(err, &fault) || fault.Text == "" {
				t.Fatalf("an error without a field: %v", err)
			}
			return
		}
		text := p.Format()
		again, err := ParseProfile(text)
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, text)
		}
		if !same(p, again) {
			t.Fatalf("comes back otherwise:\n%s\n%+v\n%+v", text, p.Values, again.Values)
		}
		if twice := again.Format(); !bytes.Equal(twice, text) {
			t.Fatalf("written twice:\n%s\n%s", text, twice)
		}
	})
}

func TestSavedComesBack(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(m *Machine) {
		if _, err := Commit(t.Context(), m.Root, dir, "whole", have(t, parse(t, m, whole))); err != nil {
			t.Error(err)
		}
		p, left := m.Save("saved", "as found: \"quoted\"")
		for _, r := range left {
			if !host.IsNotSupported(r.Err) {
				t.Errorf("%s of %s is left out: %v", r.Name, r.Target, r.Err)
			}
		}
		saved := snapshot(m)
		putBack(t, m.Root, dir)
		plan := parse(t, m, string(p.Format()))
		plan, skipped, err := Possible(plan, true)
		if err != nil {
			t.Error(err)
		}
		if len(skipped) > 0 {
			t.Errorf("what was saved here is not supported here: %v", skipped)
		}
		if _, err := Commit(t.Context(), m.Root, dir, "saved", plan); err != nil {
			t.Error(err)
		}
		compare(t, "applying what was saved", saved, snapshot(m))
		putBack(t, m.Root, dir)
	})
}

func TestCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Catalogue() {
		if seen[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[d.Name] = true
		if d.Doc == "" || d.Source == "" || d.Form == "" || strings.Contains(d.Doc, "\n") || d.canon == nil || d.read == nil || d.resolve == nil {
			t.Errorf("%s: something is missing: %+v", d.Name, d)
		}
		for _, r := range d.Remedies {
			if v, err := d.Canonical(r); err != nil || v != r {
				t.Errorf("%s: remedy %q is %q, %v", d.Name, r, v, err)
			}
		}
	}
}

// TestProfilesOfTheDocumentation reads every profile that the documentation shows.
func TestProfilesOfTheDocumentation(t *testing.T) {
	found := 0
	for _, name := range []string{"tune.md", "profile-of-settings.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "doc", name))
		if err != nil {
			t.Error(err)
			continue
		}
		for i, part := range strings.Split(string(b), "```") {
			if text, ok := strings.CutPrefix(part, "yaml\n"); i%2 == 1 && ok {
				found++
				if _, err := ParseProfile([]byte(text)); err != nil {
					t.Errorf("%s: %v\n%s", name, err, text)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("%d profiles found", found)
	}
}
