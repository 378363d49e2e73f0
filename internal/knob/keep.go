package knob

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// keptSuffix is the end of a journal's name whose changes are meant to stay, which [Recover]
// leaves alone.
const keptSuffix = ".kept"

// Label says of what a kept journal is.
type Label struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	// SinceBoot is CLOCK_BOOTTIME, which puts kept journals in their order: no clock that is
	// set can.
	SinceBoot time.Duration `json:"since_boot_nanoseconds"`
}

// Kept is a journal whose owner ended well and wants its changes to stay until
// somebody undoes them with [Undo]. It ends with the boot, as the changes do.
type Kept struct {
	Label
	Path    string   `json:"path"`
	Changes []Change `json:"changes"` // not yet undone, in the order in which they were made
}

// Keep closes a journal whose changes are to outlive this process. The rename that
// it ends with is the point of commitment: a process that dies before it is undone by
// [Recover], one that dies after it is not. A journal without changes is removed.
func (j *Journal) Keep(name string) error {
	j.mu.Lock()
	none := len(j.open) == 0
	j.mu.Unlock()
	if none {
		return j.Close()
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	label := &Label{Name: name, At: time.Now().UTC(), SinceBoot: time.Duration(up.Nano())}
	line, err := json.Marshal(entry{Type: "kept", Label: label})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	kept := j.path[:len(j.path)-len(suffix)] + keptSuffix
	if err := os.Rename(j.path, kept); err != nil {
		return fmt.Errorf("keep the journal: %w", err)
	}
	j.path = kept
	return errors.Join(syncDir(filepath.Dir(kept)), j.f.Close())
}

// KeptIn lists the kept journals of dir in the order in which they were kept. Those of an
// earlier boot are among them until they are undone, which does nothing to the system.
func KeptIn(dir string) ([]Kept, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+keptSuffix))
	if err != nil {
		return nil, err
	}
	var all []Kept
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if errors.Is(err, os.ErrNotExist) {
			continue // another process has undone it since
		}
		if err != nil {
			return nil, err
		}
		all = append(all, keptOf(p, b))
	}
	slices.SortFunc(all, func(a, b Kept) int { return int(a.SinceBoot - b.SinceBoot) })
	return all, nil
}

func keptOf(path string, b []byte) Kept {
	k := Kept{Path: path}
	entries, _ := parse(b) // what can't be read is told when it is undone
	undone := map[int]bool{}
	for _, e := range entries {
		undone[e.Seq] = undone[e.Seq] || e.Type == "undone"
	}
	for _, e := range entries {
		switch {
		case e.Type == "kept" && e.Label != nil:
			k.Label = *e.Label
		case e.Type == "change" && !undone[e.Seq]:
			k.Changes = append(k.Changes, change(e))
		}
	}
	return k
}

// Undo puts back what a kept journal says was changed and removes the journal. What
// fails stays in it. Several are to be undone latest first: a value that a later one has
// changed since counts as somebody else's and is left alone. Interrupted, it can be called again.
func Undo(root host.Root, k Kept) (Report, error) {
	var r Report
	owner, err := recoverFile(root, k.Path, &r)
	if owner != nil {
		err = errors.Join(err, fmt.Errorf("%s: another process is putting it back", k.Path))
	}
	return r, err
}

// lockedJournal opens a journal and takes its lock; busy says that another process has it.
func lockedJournal(path string) (f *os.File, b []byte, busy bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, false, err
	}
	busy = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
	if b, err = io.ReadAll(f); err != nil {
		f.Close()
		return nil, nil, false, err
	}
	return f, b, busy, nil
}
