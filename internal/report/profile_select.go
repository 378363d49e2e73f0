package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
)

// ReadProfiles reads one side of a comparison: a profile's file or directory, or the
// profiles of a study's result, of which "DIR:affinity=both,nics=2" takes those whose
// levels are these.
func ReadProfiles(side string) ([]*profile.Profile, error) {
	name, want := side, map[string]string{}
	if dir, levels, ok := cutLevels(side); ok {
		name = dir
		for _, l := range strings.Split(levels, ",") {
			k, v, ok := strings.Cut(l, "=")
			if !ok || k == "" {
				return nil, fmt.Errorf("%s: %q is no level, write factor=level", side, l)
			}
			want[k] = v
		}
	}
	files := []string{name}
	if entries, err := os.ReadDir(filepath.Join(name, ProfilesPath)); err == nil {
		files = nil
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") {
				files = append(files, filepath.Join(name, ProfilesPath, e.Name()))
			}
		}
		slices.Sort(files)
	}
	var out []*profile.Profile
	for _, f := range files {
		p, err := ReadProfile(f)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds no profile: name a profile's directory, or the result of a study that was run with --profile", name)
		}
		if err != nil {
			return nil, err
		}
		if has(p.Levels, want) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: none of %d profiles has these levels", side, len(files))
	}
	return out, nil
}

// cutLevels parts "DIR:factor=level" unless there is a file of that whole name.
func cutLevels(side string) (dir, levels string, ok bool) {
	i := strings.LastIndexByte(side, ':')
	if i < 0 || !strings.Contains(side[i:], "=") {
		return side, "", false
	}
	if _, err := os.Stat(side); err == nil {
		return side, "", false
	}
	return side[:i], side[i+1:], true
}

func has(levels, want map[string]string) bool {
	for k, v := range want {
		if levels[k] != v {
			return false
		}
	}
	return true
}
