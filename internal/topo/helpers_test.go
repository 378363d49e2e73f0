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
