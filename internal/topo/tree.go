package topo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Tree is the files of a host, by slash-separated paths that begin with "proc/",
// "sys/" or "stackmeter/" (the answers that are no files, see [Capture]). Paths are real ones:
// a symbolic link is only ever the last part of one, for ReadLink. What is missing is
// [fs.ErrNotExist].
type Tree interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]string, error) // names, sorted
	ReadLink(name string) (string, error)
}

// liveTree is this machine's.
type liveTree struct{ root host.Root }

func (t liveTree) path(name string) string {
	if rest, ok := cutDir(name, "proc"); ok {
		return filepath.Join(t.root.Proc, rest)
	}
	if rest, ok := cutDir(name, "sys"); ok {
		return filepath.Join(t.root.Sys, rest)
	}
	return filepath.Join(os.DevNull, name) // nothing is there
}

func (t liveTree) ReadFile(name string) ([]byte, error) { return os.ReadFile(t.path(name)) }

func (t liveTree) ReadDir(name string) ([]string, error) {
	f, err := os.Open(t.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (t liveTree) ReadLink(name string) (string, error) { return os.Readlink(t.path(name)) }

// Dir is a captured tree in a directory. Links in it that lead out of it are not
// followed.
type Dir struct{ root *os.Root }

// OpenDir opens a captured tree; the caller closes it.
func OpenDir(name string) (*Dir, error) {
	r, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if _, err := r.Stat("sys"); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: errNoTree}, r.Close())
	}
	return &Dir{r}, nil
}

var errNoTree = errors.New("holds no captured tree (no directory sys)")

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// ReadFile returns a file's content.
func (d *Dir) ReadFile(name string) ([]byte, error) { return d.root.ReadFile(name) }

// ReadLink returns where a symbolic link leads.
func (d *Dir) ReadLink(name string) (string, error) { return d.root.Readlink(name) }

// ReadDir returns the names in a directory.
func (d *Dir) ReadDir(name string) ([]string, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
