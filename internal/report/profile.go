package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/result"
)

// The files of a profile's directory.
const (
	ProfileFile  = "profile.json"
	PprofFile    = "profile.pb.gz"
	FoldedFile   = "profile.folded"
	FlameFile    = "flame.svg"
	ProfilesPath = "profiles" // in a study's result: one file a trial
)

// CheckProfileDir tells whether dir may take a profile: one that holds a profile
// already, an empty one, or one that is yet to be made; "" is no directory.
func CheckProfileDir(dir string) error { return checkDir(dir, ProfileFile) }

// CheckDiffDir is CheckProfileDir for a comparison.
func CheckDiffDir(dir string) error { return checkDir(dir, DiffFile) }

func checkDir(dir, holds string) error {
	entries, err := os.ReadDir(dir)
	if dir == "" || errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, holds)); err == nil {
		return nil
	}
	return fmt.Errorf("%s holds other files and no %s: name a new directory", dir, holds)
}

// WriteProfile keeps a profile in a directory, replacing an earlier one, and returns
// the path of its report.html.
func WriteProfile(dir string, p *profile.Profile) (page string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("%s: %w", ProfileFile, err)
	}
	if err := result.WriteAtomically(filepath.Join(dir, ProfileFile), append(b, '\n')); err != nil {
		return "", err
	}
	files := map[string]func(io.Writer) error{ReportFile: func(w io.Writer) error { return ProfileHTML(w, p) }}
	if p.Sampling != nil {
		files[PprofFile] = p.WritePprof
		files[FoldedFile] = p.Sampling.WriteFolded
		files[FlameFile] = func(w io.Writer) error { return FlameSVG(w, p) }
	}
	for name, write := range files {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if err := result.WriteAtomically(filepath.Join(dir, name), b.Bytes()); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, ReportFile), nil
}

// ReadProfile reads a profile's file, or that of its directory.
func ReadProfile(name string) (*profile.Profile, error) {
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		name = filepath.Join(name, ProfileFile)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p := &profile.Profile{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case p.Schema > profile.SchemaVersion:
		return nil, fmt.Errorf("%s: schema version %d, this program knows %d: %w", name, p.Schema, profile.SchemaVersion, result.ErrNewerSchema)
	case p.Schema < 1:
		return nil, fmt.Errorf("%s: no profile of stackmeter, or damaged", name)
	}
	return p, nil
}
