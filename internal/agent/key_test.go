package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	want := NewKey()
	if want == NewKey() {
		t.Fatal("two new keys are the same")
	}
	put := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	put(want.String()+"\n", 0o600)
	if got, err := ReadKey(path); err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, tc := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{want.String(), 0o640, "chmod 600"},
		{want.String(), 0o604, "chmod 600"},
		{want.String()[2:], 0o600, "want 64 hexadecimal digits"},
		{want.String() + "00", 0o600, "want 64 hexadecimal digits"},
		{strings.Repeat("g", 64), 0o600, "want 64 hexadecimal digits"},
		{"", 0o600, "want 64 hexadecimal digits"},
	} {
		put(tc.text, tc.mode)
		if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q, mode %v: %v, want %q", tc.text, tc.mode, err, tc.want)
		}
	}
	if _, err := ReadKey(filepath.Join(dir, "nosuch")); err == nil || !strings.Contains(err.Error(), "stackmeter keys new") {
		t.Errorf("no file: %v", err)
	}
}
