package result

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// ErrNewerSchema says that a newer stackmeter wrote the result.
var ErrNewerSchema = errors.New("the result was written by a newer stackmeter: use that version or newer to read it")

// maxLine bounds a line of trials.jsonl, so that a damaged file can't take all
// memory. A trial of 1000 flows is about 1 MiB.
const maxLine = 64 << 20

// Open reads a result. It takes no lock: a study that is still running can be
// read, up to its last complete trial.
func Open(path string) (*Dir, error) {
	d := &Dir{Path: path}
	if err := readJSON(filepath.Join(path, ManifestFile), &d.Manifest); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is no result directory: it has no %s", path, ManifestFile)
		}
		return nil, err
	}
	if err := checkSchema(d.Manifest.SchemaVersion); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, ManifestFile), err)
	}
	if err := readJSON(filepath.Join(path, HostsFile), &d.Hosts); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		d.Notes = append(d.Notes, trial.Warning{
			Code: "no-hosts",
			Text: HostsFile + " is missing: nothing is known about the machines",
		})
	}
	name := filepath.Join(path, TrialsFile)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	trials, tail, err := ReadTrials(f, name)
	if err != nil {
		return nil, err
	}
	d.Trials = trials
	if tail.Torn {
		d.Notes = append(d.Notes, trial.Warning{
			Code: "truncated-line",
			Text: fmt.Sprintf("%s: the last line (%d bytes from byte %d) is incomplete and was left out: the study was interrupted while it wrote that trial", name, tail.Length, tail.Offset),
		})
	}
	return d, nil
}

// Tail describes a last line without newline.
type Tail struct {
	Offset, Length int64 // bytes; Length 0: the file ends as it should
	Torn           bool  // the line is no complete trial and was left out
}

// ReadTrials reads lines of trials. name stands in the errors, as "name:line:
// ...". A last line without its newline is kept if it is complete, else left
// out and reported in Tail.
func ReadTrials(r io.Reader, name string) ([]trial.Trial, Tail, error) {
	var (
		trials []trial.Trial
		tail   Tail
		offset int64
	)
	br := bufio.NewReaderSize(r, 1<<16)
	for number := 1; ; number++ {
		line, err := readLine(br)
		if err != nil && err != io.EOF {
			return nil, tail, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		last := err == io.EOF
		if last && len(line) == 0 {
			return trials, tail, nil
		}
		if last {
			tail = Tail{Offset: offset, Length: int64(len(line))}
		}
		offset += int64(len(line))
		if len(bytes.TrimSpace(line)) == 0 && !last {
			continue
		}
		t, err := parseTrial(line)
		switch {
		case err == nil:
			trials = append(trials, t)
		case last && !errors.Is(err, ErrNewerSchema):
			tail.Torn = true
		default:
			return nil, tail, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if last {
			return trials, tail, nil
		}
	}
}

func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("line longer than %d MiB: the file is damaged", maxLine>>20)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

func parseTrial(line []byte) (trial.Trial, error) {
	var t trial.Trial
	if err := json.Unmarshal(line, &t); err != nil {
		return t, err
	}
	if err := checkSchema(t.Schema); err != nil {
		return t, err
	}
	switch t.Status {
	case trial.OK, trial.Contaminated, trial.Failed:
	default:
		return t, fmt.Errorf("trial %q has unknown status %q", t.ID, t.Status)
	}
	return t, nil
}

func checkSchema(v int) error {
	switch {
	case v > trial.SchemaVersion:
		return fmt.Errorf("schema version %d, this program knows %d: %w", v, trial.SchemaVersion, ErrNewerSchema)
	case v < 1:
		return fmt.Errorf("schema version %d: not written by stackmeter, or damaged", v)
	}
	return nil
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			return fmt.Errorf("%s:%d: %w", name, 1+bytes.Count(b[:min(int(syn.Offset), len(b))], []byte("\n")), err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
