package ustack

import (
	"maps"
	"testing"
)

// TestTechniquesByName sets each switch to each of its values and reads it back.
func TestTechniquesByName(t *testing.T) {
	others := map[string][]string{
		"gather": {"64", "1", "1024"}, "bunch": {"128", "1", "1024"},
		"copy": {"auto", "memmove"}, "send-copy": {"auto", "memmove"}, "fused": {"auto", "two-pass"},
	}
	defaults := Techniques{}.Strings()
	for _, s := range TechniqueNames() {
		values := s.Values
		if values == nil {
			values = others[s.Name]
		}
		if len(values) < 2 || values[0] != defaults[s.Name] {
			t.Errorf("%s: values %v, default %q: the default comes first", s.Name, values, defaults[s.Name])
		}
		for _, v := range values {
			var set Techniques
			if err := set.Set(s.Name, v); err != nil {
				t.Error(err)
			}
			want := maps.Clone(defaults)
			want[s.Name] = v
			if got := set.Strings(); !maps.Equal(got, want) {
				t.Errorf("%s=%s reads back as %v", s.Name, v, got)
			}
		}
		if err := new(Techniques).Set(s.Name, "nosuch"); err == nil {
			t.Errorf("%s=nosuch was taken", s.Name)
		}
	}
	for _, bad := range [][2]string{{"gather", "0"}, {"gather", "1025"}, {"nosuch", "1"}} {
		if err := new(Techniques).Set(bad[0], bad[1]); err == nil {
			t.Errorf("%s=%s was taken", bad[0], bad[1])
		}
	}
}
