package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// A guest may die. So what its command writes into the directory of results comes out while it runs,
// in parts; at the end all files come whole.

// part is bytes of a file of results, from an offset on; at 0 the file begins anew.
type part struct {
	Path   string `json:"path"` // below the directory of results
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
}

// partsEvery is how often the guest looks for what is new: seldom enough to cost nothing.
const partsEvery = time.Second

// maxPart bounds a part; what is more comes in several.
const maxPart = 1 << 20

// sendParts sends what grows in dir until ctx ends.
func sendParts(ctx context.Context, dir string, to *frames) {
	sent := map[string]*sentFile{}
	for tick := time.NewTicker(partsEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		// What can't be read now comes with the next look, or at the end.
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // see above
			}
			return sendGrowth(name, dir, sent, to)
		})
	}
}

// sentFile is what was sent of a file.
type sentFile struct {
	info  os.FileInfo // another file of that name begins anew
	bytes int64
}

// sendGrowth sends what a file has beyond what was sent of it.
func sendGrowth(name, dir string, sent map[string]*sentFile, to *frames) error {
	below, err := filepath.Rel(dir, name)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil //nolint:nilerr // it was replaced or taken away meanwhile
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	s := sent[below]
	if s == nil || !os.SameFile(s.info, info) || info.Size() < s.bytes {
		s = &sentFile{info: info}
		sent[below] = s
	}
	for info.Size() > s.bytes {
		data := make([]byte, min(maxPart, info.Size()-s.bytes))
		n, err := f.ReadAt(data, s.bytes)
		if n > 0 {
			if err := to.sendJSON(kindPart, part{below, s.bytes, data[:n]}); err != nil {
				return err
			}
			s.bytes += int64(n)
		}
		if err != nil || n == 0 {
			return nil //nolint:nilerr // it was cut meanwhile
		}
	}
	return nil
}

// takePart writes a part where it belongs; a name that leads out of dir is refused.
func takePart(dir string, payload []byte) (err error) {
	var p part
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("a part of the guest's results: %w", err)
	}
	if p.Offset < 0 {
		return fmt.Errorf("a part of the guest's results: offset %d of %q", p.Offset, p.Path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(p.Path), 0o755); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_WRONLY
	if p.Offset == 0 {
		flags |= os.O_TRUNC
	}
	f, err := root.OpenFile(p.Path, flags, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.NewOffsetWriter(f, p.Offset).Write(p.Data)
	return err
}
