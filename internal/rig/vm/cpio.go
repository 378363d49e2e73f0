package vm

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archive writes an initramfs: cpio in the form "newc" (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst). Parents of a file must be
// there before it: the archive adds them.
type archive struct {
	w    io.Writer
	size int64
	next int
	dirs map[string]bool
	err  error
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{}} }

// File types of a cpio entry, as in st_mode.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeNode = 0o020000
)

// header writes an entry's head. Device numbers are of the node that it is.
func (a *archive) header(name string, mode uint32, size int64, major, minor int) {
	if a.err != nil {
		return
	}
	if size > 0xffffffff {
		a.err = fmt.Errorf("initramfs: %s: %d bytes are more than the format holds", name, size)
		return
	}
	a.next++
	links := 1
	if mode&0o170000 == modeDir {
		links = 2
	}
	a.text(fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.next, mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name)+1, 0))
	a.text(name + "\x00")
	a.pad()
}

func (a *archive) text(s string) {
	if a.err == nil {
		var n int
		n, a.err = io.WriteString(a.w, s)
		a.size += int64(n)
	}
}

func (a *archive) pad() { a.text("\x00\x00\x00"[:(4-a.size%4)%4]) }

// dir adds a directory and those above it, once.
func (a *archive) dir(name string) {
	name = strings.Trim(name, "/")
	if name == "" || name == "." || a.dirs[name] {
		return
	}
	a.dir(path.Dir(name))
	a.dirs[name] = true
	a.header(name, modeDir|0o755, 0, 0, 0)
}

// bytes adds a file.
func (a *archive) bytes(name string, content []byte) {
	a.dir(path.Dir(name))
	a.header(strings.Trim(name, "/"), modeFile|0o755, int64(len(content)), 0, 0)
	a.text(string(content))
	a.pad()
}

// file adds a copy of the file at from.
func (a *archive) file(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	a.dir(path.Dir(name))
	a.header(strings.Trim(name, "/"), modeFile|0o755, st.Size(), 0, 0)
	if a.err != nil {
		return a.err
	}
	n, err := io.CopyN(a.w, f, st.Size())
	a.size += n
	if err != nil {
		return fmt.Errorf("initramfs: %s: %w", from, err)
	}
	a.pad()
	return a.err
}

// console adds /dev/console, which the kernel opens as init's standard files.
func (a *archive) console() {
	a.dir("dev")
	a.header("dev/console", modeNode|0o600, 0, 5, 1)
}

// end writes the trailer.
func (a *archive) end() error {
	a.header("TRAILER!!!", 0, 0, 0, 0)
	return a.err
}
