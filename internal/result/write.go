package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/trial"
	"golang.org/x/sys/unix"
)

// ErrLocked says that another process is writing to the directory.
var ErrLocked = errors.New("another stackmeter is writing to it: wait for it or end it")

// ErrNotEmpty says that a new result would mix with what is there.
var ErrNotEmpty = errors.New("the directory is not empty: name another one, or resume the study in it")

// Writer appends to a result. It holds the directory's lock until Close. It is
// not safe for concurrent use.
type Writer struct {
	path   string
	lock   *os.File
	trials *os.File
}

// Create makes a result directory (and its parents) with its manifest.
// SchemaVersion is filled in. An existing directory must be empty.
func Create(path string, m Manifest) (*Writer, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	w := &Writer{path: path}
	if err := w.acquire(); err != nil {
		return nil, err
	}
	names, err := w.lock.Readdirnames(1)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s: %w", path, ErrNotEmpty)
	}
	if err != nil && err != io.EOF {
		w.Close()
		return nil, err
	}
	m.SchemaVersion = trial.SchemaVersion
	if err := w.writeJSON(ManifestFile, m); err != nil {
		w.Close()
		return nil, err
	}
	if err := w.openTrials(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Resume opens a result to go on with it and returns what is there. What a
// crash left of the trial in flight is moved to trials.torn.
func Resume(path string) (*Writer, *Dir, error) {
	w := &Writer{path: path}
	if err := w.acquire(); err != nil {
		return nil, nil, err
	}
	d, err := Open(path)
	if err == nil {
		err = w.openTrials()
	}
	if err == nil {
		err = w.mendTail()
	}
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	return w, d, nil
}

func (w *Writer) acquire() error {
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return fmt.Errorf("%s: %w", w.path, err)
	}
	w.lock = f
	return nil
}

func (w *Writer) openTrials() error {
	f, err := os.OpenFile(filepath.Join(w.path, TrialsFile), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	w.trials = f
	return w.lock.Sync()
}

// mendTail makes trials.jsonl end in a newline again.
func (w *Writer) mendTail() error {
	_, tail, err := ReadTrials(w.trials, TrialsFile)
	if err != nil || tail.Length == 0 {
		return err
	}
	if !tail.Torn {
		_, err = w.trials.Write([]byte("\n"))
		return errors.Join(err, w.trials.Sync())
	}
	torn := make([]byte, tail.Length)
	if _, err := w.trials.ReadAt(torn, tail.Offset); err != nil {
		return err
	}
	aside, err := os.OpenFile(filepath.Join(w.path, TornFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = aside.Write(append(torn, '\n'))
	if err = errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	return errors.Join(w.trials.Truncate(tail.Offset), w.trials.Sync())
}

// SetHosts writes the facts about the hosts, replacing earlier ones.
func (w *Writer) SetHosts(h Hosts) error { return w.writeJSON(HostsFile, h) }

// Append writes one trial and waits until it is on disk. After an error the
// Writer must not be used further, only closed: Resume mends what is there.
func (w *Writer) Append(t *trial.Trial) error {
	line, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("trial %s can't be written: %w", t.ID, err)
	}
	// One write, so that no reader ever sees the start of a line without the
	// rest for longer than the kernel takes.
	if _, err := w.trials.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("trial %s: %w", t.ID, err)
	}
	return w.trials.Sync()
}

// Path is the directory.
func (w *Writer) Path() string { return w.path }

// Close gives the lock back.
func (w *Writer) Close() error {
	var err error
	if w.trials != nil {
		err = w.trials.Close()
	}
	return errors.Join(err, w.lock.Close())
}

func (w *Writer) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s can't be written: %w", name, err)
	}
	return WriteAtomically(filepath.Join(w.path, name), append(b, '\n'))
}

// WriteAtomically replaces a file so that readers, and what is left after a
// crash, see the old content or the new, never a part.
func WriteAtomically(name string, content []byte) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
