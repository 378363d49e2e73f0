package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestKeepOfProfiles checks which trials have a profile kept, and that a failed one is
// told of once.
func TestKeepOfProfiles(t *testing.T) {
	dir := t.TempDir()
	profiles := &trialProfiles{plan: &experiment.Plan{Defaults: experiment.Levels{"nics": "2", "affinity": "none"}}}
	for _, tc := range []struct {
		id     string
		status trial.Status
		err    error
		kept   bool
	}{
		{"a.1.1", trial.Contaminated, nil, false},
		{"a.1.2", trial.OK, nil, true},
		{"a.2.1", trial.OK, errors.New("no rings"), false},
		{"a.3.1", trial.OK, nil, true},
	} {
		profiles.err = tc.err
		if tc.err == nil {
			profiles.last = &profile.Profile{Schema: profile.SchemaVersion}
		}
		rec := trial.Trial{ID: tc.id, Status: tc.status, Levels: map[string]string{"affinity": "both"}}
		if err := profiles.keep(dir, &rec); err != nil {
			t.Fatal(err)
		}
		p, err := report.ReadProfile(filepath.Join(dir, report.ProfilesPath, tc.id+".json"))
		if tc.kept != (err == nil) || !tc.kept && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: kept %v, want %v (%v)", tc.id, err == nil, tc.kept, err)
		}
		if tc.kept && (p.Levels["affinity"] != "both" || p.Levels["nics"] != "2" || p.Trial != tc.id) {
			t.Errorf("%s: %+v", tc.id, p)
		}
		if told := len(rec.Warnings) == 1 && rec.Warnings[0].Code == "not-profiled"; told != (tc.err != nil) {
			t.Errorf("%s: warnings %v", tc.id, rec.Warnings)
		}
	}
}
