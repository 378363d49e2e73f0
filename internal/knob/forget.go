package knob

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Pending is how many changes and processes of dead owners [Recover] would deal with. It
// changes nothing. An owner that this process can't see, as in another PID namespace, counts
// as dead.
func Pending(root host.Root, dir string) (int, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner has ended since
		}
		if err != nil {
			return n, err
		}
		entries, _ := parse(b) // what can't be read is told when it is undone
		if len(entries) > 0 && entries[0].Owner != nil {
			if o := entries[0].Owner; root.Alive(o.Task) || o.ended(root) {
				continue
			}
		}
		n += len(unfinished(entries))
	}
	return n, nil
}

// Forget gives up failures of [Recover] and [Undo]: they are taken out of their journals, and
// nothing will put them back.
func Forget(failed []Failure) error {
	of := map[string][]int{}
	for _, f := range failed {
		of[f.journal] = append(of[f.journal], f.seq)
	}
	var errs []error
	for path, seqs := range of {
		if err := forget(path, seqs); err != nil {
			errs = append(errs, fmt.Errorf("give up changes of journal %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func forget(path string, seqs []int) error {
	f, b, busy, err := lockedJournal(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // set aside as malformed: nothing undoes it again
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if busy {
		return errors.New("another process is putting it back")
	}
	entries, err := parse(b)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(unfinished(entries), func(e *entry) bool { return slices.Contains(seqs, e.Seq) })
	if len(left) == 0 {
		return os.Remove(path)
	}
	for _, s := range seqs {
		mark, err := json.Marshal(entry{Type: "undone", Seq: s})
		if err == nil {
			_, err = f.Write(append(mark, '\n'))
		}
		if err != nil {
			return err
		}
	}
	return f.Sync()
}
