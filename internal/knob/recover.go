package knob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Change is a change as the journal has it.
type Change struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

// Failure is a change that could not be undone.
type Failure struct {
	Change
	Error   string `json:"error"`
	Command string `json:"command,omitempty"` // shell command that undoes it, for the network namespace in which this process was started; empty if not known

	journal string // where it is noted
	seq     int
}

func failure(root host.Root, e *entry, err error, command string) Failure {
	return Failure{Change: change(e), Error: err.Error(), Command: fromOutside(root, e.NetNS, command), seq: e.Seq}
}

// Report is what a restoration came to.
type Report struct {
	Restored []Change    `json:"restored,omitempty"` // put back
	Gone     []Change    `json:"gone,omitempty"`     // the thing itself is gone (a NIC, thread, namespace or boot that ended)
	Foreign  []Change    `json:"foreign,omitempty"`  // changed by somebody else since: left as it is
	Killed   []host.Task `json:"killed,omitempty"`   // processes left over
	Failed   []Failure   `json:"failed,omitempty"`   // not undone, and noted still: the next Recover tries again
	GivenUp  []Failure   `json:"given_up,omitempty"` // not undone, and no longer noted: see Forget
	InUse    []Owner     `json:"in_use,omitempty"`   // journals of processes that run
	Notes    []string    `json:"notes,omitempty"`    // what was tolerated, for a log
}

// Err is nil if nothing failed.
func (r Report) Err() error { return errors.Join(errorsOf(r.Failed)...) }

func errorsOf(fs []Failure) []error {
	var errs []error
	for _, f := range fs {
		hand := ""
		if f.Command != "" {
			hand = " (by hand: " + f.Command + ")"
		}
		errs = append(errs, fmt.Errorf("%s of %s not restored to %q: %s%s", f.Name, f.Target, f.Old, f.Error, hand))
	}
	return errs
}

func change(e *entry) Change {
	c := Change{e.Name, e.Target, e.Old, e.New}
	if e.renamed != "" {
		c.Target += " (now " + e.renamed + ")"
	}
	return c
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV)
}

// undo puts one change back, adds to the report how it went, and reports whether the
// entry is dealt with.
func undo(root host.Root, k Knob, e *entry, r *Report) bool {
	var err error
	// A NIC that is being unregistered (its peer's namespace has ended) answers EINVAL
	// for a while before its files go: what fails is tried again.
	for range 10 {
		var now string
		now, err = k.Read()
		switch {
		case err != nil:
		case now == e.Old: // never made, or undone by others
			return true
		case now != e.New && e.Type == "change" && (e.verified || !e.Rounds):
			r.Foreign = append(r.Foreign, change(e))
			return true
		default:
			if err = k.Write(e.Old); err == nil {
				err = Verify(k, e.Old)
			}
			if err == nil {
				r.Restored = append(r.Restored, change(e))
				return true
			}
		}
		if gone(err) {
			r.Gone = append(r.Gone, change(e))
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.Failed = append(r.Failed, failure(root, e, err, k.Command(e.Old)))
	return false
}

// Recover undoes what journals in dir say of processes that are dead: it kills
// the processes that they left over and restores their changes, latest first.
// Journals of running processes are left alone. An error names a journal that could
// not be read; what could be read of it was undone, and the file is kept beside its
// name with .bad after it.
func Recover(ctx context.Context, root host.Root, dir string) (Report, error) {
	var r Report
	errs := []error{sweep(root, dir)}
	done := map[string]bool{}
	// Killing what one journal names can free another: agents of a dead controller
	// have journals of their own.
	for round := 0; round < 20; round++ {
		paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
		if err != nil {
			return r, err
		}
		r.InUse = nil
		for _, p := range paths {
			if err := ctx.Err(); err != nil {
				return r, errors.Join(append(errs, err)...)
			}
			if done[p] {
				continue
			}
			owner, err := recoverFile(root, p, &r)
			if owner != nil {
				r.InUse = append(r.InUse, *owner)
				continue
			}
			done[p] = true
			errs = append(errs, err)
		}
		if len(r.InUse) == 0 || len(r.Killed) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return r, errors.Join(errs...)
}

// sweep removes journals whose makers died before they had a name, and so before any
// change. One younger than a minute may be of a process that this one can't see.
func sweep(root host.Root, dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+unnamed))
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range paths {
		pid, _, _ := strings.Cut(filepath.Base(p), "-")
		info, err := os.Stat(p)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if _, err := os.Stat(filepath.Join(root.Proc, pid)); errors.Is(err, fs.ErrNotExist) {
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// recoverFile returns the owner if there is one alive.
func recoverFile(root host.Root, path string, r *Report) (inUse *Owner, err error) {
	f, b, busy, err := lockedJournal(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // its owner or another Recover was done with it
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, bad := parse(b)
	var owner Owner
	if len(entries) > 0 && entries[0].Owner != nil {
		owner = *entries[0].Owner
	}
	if busy {
		return &owner, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink == 0 {
		return nil, err
	}
	if n := len(b); n > 0 && b[n-1] != '\n' {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: the last line is cut off; that change had not been made", path))
		if err := f.Truncate(int64(bytes.LastIndexByte(b, '\n') + 1)); err != nil { // marks are appended
			return nil, err
		}
	}
	before := len(r.Failed)
	left := replay(root, f, owner, entries, r)
	for i := range r.Failed[before:] {
		r.Failed[before+i].journal = path
	}
	if bad != nil {
		kept := path + ".bad"
		return nil, errors.Join(fmt.Errorf("journal %s: %w; the file is kept as %s: check by hand what it says, then remove it", path, bad, kept), os.Rename(path, kept))
	}
	if left {
		return nil, nil
	}
	return nil, os.Remove(path)
}

// parse reads the lines that it can; the error names the first that it can't. A last
// line without its end is no error.
func parse(b []byte) ([]*entry, error) {
	var es []*entry
	var bad error
	for n := 1; len(b) > 0; n++ {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		b = rest
		e := new(entry)
		err := json.Unmarshal(line, e)
		switch {
		case err != nil && !whole:
		case err != nil && bad == nil:
			bad = fmt.Errorf("line %d: %w", n, err)
		case err == nil && bad == nil && !slices.Contains([]string{"owner", "change", "bystander", "process", "undone", "kept", "verified"}, e.Type):
			bad = fmt.Errorf("line %d: type %q is none that this version knows", n, e.Type)
		case err == nil:
			es = append(es, e)
		}
	}
	return es, bad
}

// replay undoes entries, latest first, and marks them. It reports whether any
// is left.
func replay(root host.Root, f *os.File, owner Owner, entries []*entry, r *Report) (left bool) {
	reboot := owner.ended(root)
	open := unfinished(entries)
	if !reboot {
		oneOfSameNumber(root, f.Name(), open, r)
	}
	for _, e := range open {
		if e.Type == "process" && e.Task != nil && !reboot && kill(root, *e.Task, e.Exe) {
			r.Killed = append(r.Killed, *e.Task)
		}
	}
	for _, e := range slices.Backward(open) {
		ok := true
		switch {
		case e.Type == "process":
		case reboot:
			r.Gone = append(r.Gone, change(e))
		default:
			ok = undoEntry(root, e, r)
		}
		if !ok {
			left = true
			continue
		}
		mark, err := json.Marshal(entry{Type: "undone", Seq: e.Seq})
		if err == nil {
			_, err = f.Write(append(mark, '\n'))
		}
		if err != nil {
			r.Notes = append(r.Notes, err.Error())
		}
	}
	return left
}

// unfinished are the entries of a journal that are to be undone.
func unfinished(entries []*entry) []*entry {
	undone, verified := map[int]bool{}, map[int]bool{}
	for _, e := range entries {
		switch e.Type {
		case "undone":
			undone[e.Seq] = true
		case "verified":
			verified[e.Seq] = true
		}
	}
	for _, e := range entries {
		e.verified = verified[e.Seq]
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e *entry) bool {
		return slices.Contains([]string{"undone", "owner", "kept", "verified"}, e.Type) || undone[e.Seq]
	})
}

// ended reports whether the machine has booted since, which took the settings with it.
func (o Owner) ended(root host.Root) bool { return o.BootID != "" && o.BootID != root.BootID() }

// kill ends the very task and waits for its end, for 2 s at most.
func kill(root host.Root, t host.Task, exe string) bool {
	fd, err := unix.PidfdOpen(t.PID, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	// The descriptor stands for one process: it can't become another after this check.
	if !root.Alive(t) || (exe != "" && root.Exe(t.PID) != exe) {
		return false
	}
	if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	for range 20 {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100); n > 0 || (err != nil && err != unix.EINTR) {
			break
		}
	}
	return true
}
