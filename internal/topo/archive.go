package topo

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Bounds of what an archive may hold: a machine with 256 CPUs and 512 queues has 20,000
// files of 40 bytes.
const (
	maxArchiveFiles = 1 << 19
	maxArchiveBytes = 256 << 20
)

// WriteArchive writes the tree as a gzipped tar file: the same bytes for the same tree.
func (m *Memory) WriteArchive(w io.Writer) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	names := slices.Concat(slices.Collect(maps.Keys(m.files)), slices.Collect(maps.Keys(m.links)))
	for d, entries := range m.dirs {
		if len(entries) == 0 {
			names = append(names, d)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		h := &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(m.files[name]))}
		if target, ok := m.links[name]; ok {
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, target, 0o777
		} else if _, ok := m.dirs[name]; ok {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, name+"/", 0o755
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(m.files[name]); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// ReadArchive reads a gzipped tar file into memory. Nothing is written anywhere. A
// directory above proc and sys is left out, as `tar czf x.tar.gz DIR` makes it.
func ReadArchive(r io.Reader) (*Memory, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("not a gzipped tar file: %w", err)
	}
	t := tar.NewReader(z)
	m := &Memory{}
	total := int64(0)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		total += h.Size
		if n > maxArchiveFiles || total > maxArchiveBytes {
			return nil, fmt.Errorf("read the archive: more than %d files or %d MiB: no capture of a host", maxArchiveFiles, maxArchiveBytes>>20)
		}
		name := inTree(h.Name)
		if name == "" {
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg:
			b, err := io.ReadAll(t)
			if err != nil {
				return nil, fmt.Errorf("read %s of the archive: %w", h.Name, err)
			}
			m.Write(name, string(b))
		case tar.TypeSymlink:
			m.Link(name, h.Linkname)
		case tar.TypeDir:
			m.Mkdir(name)
		}
	}
	if _, err := m.ReadDir("sys"); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoTree
	}
	return m, nil
}

// inTree is a path from proc, sys or stackmeter on; "" for what lies elsewhere.
func inTree(name string) string {
	parts := strings.Split(path.Clean(name), "/")
	for i, p := range parts[:min(2, len(parts))] {
		if p == "proc" || p == "sys" || p == answersDir {
			return path.Join(parts[i:]...)
		}
	}
	return ""
}
