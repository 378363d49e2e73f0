package topo

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Memory is a tree in memory: a capture that was read or is being made, or a machine that
// a test makes up. The zero value is empty and ready.
type Memory struct {
	files map[string][]byte
	links map[string]string
	dirs  map[string]map[string]bool // names in each directory
}

// Write adds a file, and the directories above it.
func (m *Memory) Write(name, content string) {
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	m.files[name] = []byte(content)
	m.enter(name)
}

// Link adds a symbolic link.
func (m *Memory) Link(name, target string) {
	if m.links == nil {
		m.links = map[string]string{}
	}
	m.links[name] = target
	m.enter(name)
}

// Mkdir adds a directory, which may stay empty.
func (m *Memory) Mkdir(name string) {
	if m.dirs == nil {
		m.dirs = map[string]map[string]bool{}
	}
	if m.dirs[name] == nil {
		m.dirs[name] = map[string]bool{}
		m.enter(name)
	}
}

func (m *Memory) enter(name string) {
	if dir := path.Dir(name); dir != name {
		m.Mkdir(dir)
		m.dirs[dir][path.Base(name)] = true
	}
}

// ReadFile returns a file's content.
func (m *Memory) ReadFile(name string) ([]byte, error) {
	b, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return b, nil
}

// ReadDir returns the names in a directory.
func (m *Memory) ReadDir(name string) ([]string, error) {
	d, ok := m.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Sorted(maps.Keys(d)), nil
}

// ReadLink returns where a symbolic link leads.
func (m *Memory) ReadLink(name string) (string, error) {
	l, ok := m.links[name]
	if !ok {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrNotExist}
	}
	return l, nil
}

// cutDir is a path without its first directory, where that is dir.
func cutDir(name, dir string) (rest string, ok bool) {
	if name == dir {
		return "", true
	}
	return strings.CutPrefix(name, dir+"/")
}
