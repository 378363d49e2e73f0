package knob

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Journal is the file in which a process writes what it is about to change, so
// that another can undo it. It is JSON lines: first the owner, then an entry before each change,
// and a mark once a change is undone. Each line reaches the disk before
// the change is made. The owner holds a lock (flock(2)) on the file, which the
// kernel releases however the owner ends; a journal that can be locked has no owner.
type Journal struct {
	mu   sync.Mutex
	f    *os.File
	path string
	head []byte
	seq  int
	open map[int]bool // entries not yet undone
}

// Owner is the process whose journal it is.
type Owner struct {
	Task   host.Task `json:"task"`
	BootID string    `json:"boot_id"`
	Exe    string    `json:"exe"`
}

// entry is a line of a journal.
type entry struct {
	Type   string `json:"type"` // "owner", "change", "verified", "bystander", "process", "undone", "kept"
	Seq    int    `json:"seq,omitempty"`
	Owner  *Owner `json:"owner,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Key    string `json:"key,omitempty"`
	Name   string `json:"name,omitempty"`
	Target string `json:"target,omitempty"`
	Old    string `json:"old"`
	New    string `json:"new"`
	place
	Task  *host.Task `json:"task,omitempty"`
	Exe   string     `json:"exe,omitempty"`
	Label *Label     `json:"label,omitempty"` // of "kept"
	// Rounds: the kernel may make another value of New. Until the change is noted as verified, whatever
	// is read is taken for its doing.
	Rounds bool `json:"rounds,omitempty"`

	verified bool
}

// rounds reports whether the kernel, or a driver, may make another value of the one that is written.
func rounds(kind string) bool {
	return slices.Contains([]string{"ethtool", "linksize", "offload", "sysctl"}, kind)
}

const (
	suffix  = ".journal"
	unnamed = ".new" // one that is being made
)

// NewJournal makes this process's journal in dir (see [Dir]). A process may have
// several.
func NewJournal(root host.Root, dir string) (*Journal, error) {
	task, err := root.Task(os.Getpid())
	if err != nil {
		return nil, err
	}
	exe, _ := os.Readlink("/proc/self/exe")
	owner := &Owner{Task: task, BootID: root.BootID(), Exe: exe}
	head, err := json.Marshal(entry{Type: "owner", Owner: owner})
	if err != nil {
		return nil, err
	}
	// It gets its name only once it is locked and has its head: no other process
	// ever sees it without an owner.
	f, err := os.CreateTemp(dir, fmt.Sprintf("%d-*%s", task.PID, unnamed))
	if err != nil {
		return nil, fmt.Errorf("make a journal: %w", err)
	}
	j := &Journal{f: f, head: append(head, '\n'), open: map[int]bool{}}
	j.path = f.Name()[:len(f.Name())-len(unnamed)] + suffix
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = j.write(j.head)
	}
	if err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("make a journal: %w", err), os.Remove(f.Name()))
	}
	return j, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Path is where the journal is.
func (j *Journal) Path() string { return j.path }

func (j *Journal) write(b []byte) error {
	if _, err := j.f.Write(b); err != nil {
		return err
	}
	return j.f.Sync()
}

// append writes entries, giving each its number, with one sync.
func (j *Journal) append(es ...*entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b []byte
	for _, e := range es {
		if e.Seq == 0 {
			j.seq++
			e.Seq = j.seq
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	if err := j.write(b); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	for _, e := range es {
		switch e.Type {
		case "undone":
			delete(j.open, e.Seq)
		case "verified":
		default:
			j.open[e.Seq] = true
		}
	}
	return nil
}

// undone marks entries. Once none is left the file shrinks to its head.
func (j *Journal) undone(seqs ...int) error {
	if len(seqs) == 0 {
		return nil
	}
	es := make([]*entry, len(seqs))
	for i, s := range seqs {
		es[i] = &entry{Type: "undone", Seq: s}
	}
	if err := j.append(es...); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.open) > 0 {
		return nil
	}
	if err := j.f.Truncate(int64(len(j.head))); err != nil {
		return err
	}
	_, err := j.f.Seek(0, 2)
	return err
}

// verified notes that a change reads as it was meant to.
func (j *Journal) verified(e *entry) error {
	e.verified = true
	if !e.Rounds {
		return nil
	}
	return j.append(&entry{Type: "verified", Seq: e.Seq})
}

// Process notes a process that is to be killed if this one dies without having called
// the function returned, which takes the note back.
func (j *Journal) Process(root host.Root, pid int) (ended func() error, err error) {
	t, err := root.Task(pid)
	if err != nil {
		return nil, err
	}
	e := &entry{Type: "process", Task: &t, Exe: root.Exe(pid)}
	if err := j.append(e); err != nil {
		return nil, err
	}
	return func() error { return j.undone(e.Seq) }, nil
}

// Close removes the journal, or leaves it for [Recover] where something is not
// undone. The lock goes in both cases.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if len(j.open) == 0 {
		err = os.Remove(j.path)
	}
	return errors.Join(err, j.f.Close())
}

// Dir is the directory of the journals, made if need be: /run/stackmeter for
// root of the machine, $XDG_RUNTIME_DIR/stackmeter or else a directory of the
// user's own in the temporary directory. It is an error if it belongs to somebody
// else or others can write to it.
func Dir(root host.Root) (string, error) {
	uid, err := root.OutsideUID()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("stackmeter-%d", uid))
	if run := os.Getenv("XDG_RUNTIME_DIR"); uid == 0 {
		dir = "/run/stackmeter"
	} else if run != "" {
		dir = filepath.Join(run, "stackmeter")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("directory of the journals: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("directory of the journals %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("directory of the journals: %s is not a directory that only this user can write to; remove it or set XDG_RUNTIME_DIR", dir)
	}
	return dir, nil
}
