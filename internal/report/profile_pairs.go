package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// WriteTrialProfile keeps the profile of a trial in the result of its study.
func WriteTrialProfile(dir string, p *profile.Profile) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("profile of trial %s: %w", p.Trial, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ProfilesPath), 0o755); err != nil {
		return err
	}
	return result.WriteAtomically(filepath.Join(dir, ProfilesPath, p.Trial+".json"), append(b, '\n'))
}

// ProfilePair is two sides of a study's profiles that differ in affinity alone.
type ProfilePair struct {
	Names         Sides
	Before, After []*profile.Profile
}

// ProfilePairs puts the profiles of a study's trials without affinity, and where both are
// there those that were scattered, beside those with both affinities: one pair for each
// experiment and each setting of the other factors. A study without profiles has none.
func ProfilePairs(d *result.Dir) ([]ProfilePair, error) {
	if _, err := os.Stat(filepath.Join(d.Path, ProfilesPath)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	all, err := ReadProfiles(d.Path)
	if err != nil {
		return nil, err
	}
	byID := map[string]*profile.Profile{}
	for _, p := range all {
		byID[p.Trial] = p
	}
	type sides struct{ none, scattered, both []*profile.Profile }
	rest := map[string]*sides{}
	for i := range d.Trials {
		t := &d.Trials[i]
		p := byID[t.ID]
		if p == nil || t.Status != trial.OK {
			continue
		}
		others := maps.Clone(t.Levels)
		delete(others, "affinity")
		delete(others, "unpinned")
		key := t.Experiment + " " + trial.Cell(others)
		s := rest[key]
		if s == nil {
			s = &sides{}
			rest[key] = s
		}
		switch {
		case t.Levels["affinity"] == "both":
			s.both = append(s.both, p)
		case t.Levels["affinity"] == "none" && p.Levels["unpinned"] == "scatter":
			s.scattered = append(s.scattered, p)
		case t.Levels["affinity"] == "none":
			s.none = append(s.none, p)
		}
	}
	var out []ProfilePair
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		s := rest[key]
		before, name := s.scattered, "no affinity, scattered"
		if len(before) == 0 {
			before, name = s.none, "no affinity, as found"
		}
		if len(before) > 0 && len(s.both) > 0 {
			key = cmp.Or(strings.TrimSpace(key), "all")
			out = append(out, ProfilePair{Sides{key + ": " + name, key + ": IRQ and process affinity"}, before, s.both})
		}
	}
	return out, nil
}
