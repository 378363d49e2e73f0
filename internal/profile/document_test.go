package profile

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocumentNamesEveryField holds doc/profile-format.md against the record, and
// doc/profile-method.md against the passes.
func TestDocumentNamesEveryField(t *testing.T) {
	doc, err := os.ReadFile("../../doc/profile-format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range []any{Profile{}, Pass{}, Sampling{}, Stack{}, Limit{}} {
		typ := reflect.TypeOf(record)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "" || strings.HasSuffix(name, "_lost") {
				continue
			}
			if !strings.Contains(string(doc), "`"+name) {
				t.Errorf("doc/profile-format.md does not name %s of %s", name, typ.Name())
			}
		}
	}
	method, err := os.ReadFile("../../doc/profile-method.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range passes {
		if !strings.Contains(string(method), "| `"+p.name+"` |") {
			t.Errorf("doc/profile-method.md has no row for the pass %s", p.name)
		}
	}
	for _, code := range []string{"few-samples", "samples-lost", "throttled", "other", "closure", "disagreement", "counts-lost", "flows-lost", "locks-lost", "flows-left-out", "cut-short"} {
		if !strings.Contains(string(doc), "`"+code+"`") {
			t.Errorf("doc/profile-format.md does not explain the warning %s", code)
		}
	}
}
