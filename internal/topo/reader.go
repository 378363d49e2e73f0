package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Warning is a file of the host that could not be understood; what it would have told is
// absent.
type Warning struct {
	Path string `json:"path"` // of the file, in the tree
	Text string `json:"text"` // what is wrong with it
}

// maxWarnings bounds how many are kept: the rest of a tree of rubbish tells no more.
const maxWarnings = 200

// reader reads a tree, keeps what it read if there is to be a capture, and notes what
// makes no sense. A file that is missing is no fault: kernels and drivers differ.
type reader struct {
	tree     Tree
	keep     *Memory
	warnings []Warning
}

func (r *reader) warn(name string, err error) {
	switch {
	case len(r.warnings) < maxWarnings:
		r.warnings = append(r.warnings, Warning{name, err.Error()})
	case len(r.warnings) == maxWarnings:
		r.warnings = append(r.warnings, Warning{"", "more such files are not listed"})
	}
}

// content is a file after filter, which leaves out what is not used and so not captured
// either.
func (r *reader) content(name string, filter func(string) string) (string, bool) {
	b, err := r.tree.ReadFile(name)
	if err != nil {
		r.unreadable(name, err)
		return "", false
	}
	s := string(b)
	if filter != nil {
		s = filter(s)
	}
	if r.keep != nil {
		r.keep.Write(name, s)
	}
	return s, true
}

// unreadable warns of an error that is not one of those by which the kernel says 'not
// here': no such file, no such device, an attribute that does not apply (speed of a
// link that is down gives EINVAL), a file for root only.
func (r *reader) unreadable(name string, err error) {
	for _, usual := range []error{
		fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EINVAL, syscall.ENODEV, syscall.ENOENT,
		syscall.EOPNOTSUPP, syscall.ENXIO, syscall.EIO, syscall.ESRCH,
	} {
		if errors.Is(err, usual) {
			return
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	r.warn(name, err)
}

// text is a file's content without white space around it; "" if there is none.
func (r *reader) text(parts ...string) string {
	s, _ := r.content(path.Join(parts...), nil)
	return strings.TrimSpace(s)
}

// number is the integer in a file; ok is false where there is none.
func (r *reader) number(parts ...string) (n int64, ok bool) {
	s := r.text(parts...)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		r.warn(path.Join(parts...), fmt.Errorf("%.40q is no number", s))
		return 0, false
	}
	return n, true
}

// id is a small number that names something (a CPU, a node); -1 where not known.
func (r *reader) id(parts ...string) int {
	n, ok := r.number(parts...)
	if !ok || n < 0 {
		return -1
	}
	if n > 1<<24 {
		r.warn(path.Join(parts...), fmt.Errorf("%d is too large for an identifier", n))
		return -1
	}
	return int(n)
}

// cpus is the CPU list in a file.
func (r *reader) cpus(parts ...string) host.CPUList {
	return r.set(host.ParseCPUList, parts)
}

// mask is the CPU mask in a file.
func (r *reader) mask(parts ...string) host.CPUList {
	return r.set(host.ParseCPUMask, parts)
}

func (r *reader) set(parse func(string) (host.CPUList, error), parts []string) host.CPUList {
	s := r.text(parts...)
	if s == "" {
		return nil
	}
	l, err := parse(s)
	if err != nil {
		r.warn(path.Join(parts...), err)
	}
	return l
}

// names are the entries of a directory; none where there is no such directory.
func (r *reader) names(parts ...string) []string {
	dir := path.Join(parts...)
	names, err := r.tree.ReadDir(dir)
	if err != nil {
		r.unreadable(dir, err)
		return nil
	}
	if r.keep != nil {
		r.keep.Mkdir(dir)
	}
	return names
}

// numbered are the entries of a directory that are prefix and a number, by number.
func (r *reader) numbered(prefix string, parts ...string) []int {
	var ids host.CPUList
	for _, n := range r.names(parts...) {
		if digits, ok := strings.CutPrefix(n, prefix); ok {
			if id, err := strconv.ParseUint(digits, 10, 24); err == nil {
				ids = append(ids, int(id))
			}
		}
	}
	return host.CPUs(ids...)
}

// link is the real path that a symbolic link leads to; "" where there is none.
func (r *reader) link(parts ...string) string {
	name := path.Join(parts...)
	target, err := r.tree.ReadLink(name)
	if err != nil || path.IsAbs(target) {
		return ""
	}
	real := path.Join(path.Dir(name), target)
	if strings.HasPrefix(real, "../") {
		r.warn(name, fmt.Errorf("leads out of the tree"))
		return ""
	}
	if r.keep != nil {
		r.keep.Link(name, target)
	}
	return real
}
