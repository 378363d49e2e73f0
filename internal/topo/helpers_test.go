package topo_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// unpack writes an archive's files below a directory, as tar does.
func unpack(t testing.TB, packed []byte) string {
	t.Helper()
	dir := t.TempDir()
	// Thousands of files: in memory where there is such a file system.
	if shm, err := os.MkdirTemp("/dev/shm", "topo"); err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(shm); err != nil {
				t.Error(err)
			}
		})
		dir = shm
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		err = os.MkdirAll(filepath.Dir(name), 0o755)
		switch h.Typeflag {
		case tar.TypeSymlink:
			err = errors.Join(err, os.Symlink(h.Linkname, name))
		case tar.TypeDir:
			err = errors.Join(err, os.MkdirAll(name, 0o755))
		default:
			b, readErr := io.ReadAll(r)
			err = errors.Join(err, readErr, os.WriteFile(name, b, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// walk calls f for each regular file below a directory.
func walk(t testing.TB, dir string, f func(name, content string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		f(name, string(b))
		n++
		return err
	})
	if err != nil || n == 0 {
		t.Errorf("%d files below %s: %v", n, dir, err)
	}
}
