package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func manifest() Manifest {
	return Manifest{
		Plan: Plan{Name: "affinity", Resolved: json.RawMessage(`{"experiments":[]}`)},
		Seed: 1<<63 + 5, Versions: Versions{Stackmeter: "test", Go: "go1.26", Kernel: "6.18"},
		CommandLine: []string{"stackmeter", "study", "affinity"}, Started: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Rig: "veth", PlannedTrials: 4, PaperReference: []string{"Table 1"},
	}
}

func sample(n int) *trial.Trial {
	return &trial.Trial{
		Schema: trial.SchemaVersion, ID: fmt.Sprintf("e1.r%d.c1", n), Experiment: "affinity",
		Levels: map[string]string{"affinity": "both", "nics": "2"}, Replicate: n, Order: n, Attempt: 1,
		Status: trial.OK, WindowSeconds: 1, ThroughputBitsPerSecond: 9.4e9,
		Flows: []trial.Flow{{ID: 0, IntervalBytes: []uint64{1, 2, 3}}},
	}
}

func TestWriteReadResume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "result")
	w, err := Create(path, manifest())
	if err != nil {
		t.Fatal(err)
	}
	hosts := Hosts{"server": json.RawMessage(`{"cpus":2}`)}
	if err := w.SetHosts(hosts); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(sample(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Resume(path); !errors.Is(err, ErrLocked) {
		t.Errorf("resumed while it is being written: %v", err)
	}
	if d, err := Open(path); err != nil || len(d.Trials) != 1 {
		t.Errorf("a running study can't be read: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, manifest()); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("created over a result: %v", err)
	}

	w, d, err := Resume(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Progress()[Key{"affinity", "affinity=both,nics=2", 1}]; got != (Progress{OK: true, Attempts: 1}) {
		t.Errorf("progress %+v", got)
	}
	bad := sample(2)
	bad.Status = trial.Contaminated
	if err := errors.Join(w.Append(bad), w.Close()); err != nil {
		t.Fatal(err)
	}
	d, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	want := manifest()
	want.SchemaVersion = trial.SchemaVersion
	if diff := cmp.Diff(want.Started, d.Manifest.Started); diff != "" || d.Manifest.Seed != want.Seed {
		t.Errorf("manifest changed: %s, seed %d", diff, d.Manifest.Seed)
	}
	if diff := cmp.Diff([]trial.Trial{*sample(1), *bad}, d.Trials); diff != "" {
		t.Error(diff)
	}
	if got := d.Progress()[KeyOf(bad)]; got.OK || got.Attempts != 1 {
		t.Errorf("a contaminated trial counts as done: %+v", got)
	}
	if len(d.Notes) != 0 || len(d.Hosts) != 1 {
		t.Errorf("notes %v, hosts %v", d.Notes, d.Hosts)
	}
}

// A crash may cut the last line anywhere: the trials before it are read, the
// cut is reported, and a resumed study leaves a whole file.
func TestTruncatedLastLineAnywhere(t *testing.T) {
	line, err := json.Marshal(sample(2))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut <= len(line); cut += 7 {
		checkCut(t, line, cut)
	}
	checkCut(t, line, len(line))
}

func checkCut(t *testing.T, line []byte, cut int) {
	path := filepath.Join(t.TempDir(), "result")
	w, err := Create(path, manifest())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(sample(1)), w.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, TrialsFile)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(whole, line[:cut]...), 0o644); err != nil {
		t.Fatal(err)
	}
	complete := cut == len(line)
	d, err := Open(path)
	if err != nil {
		t.Fatalf("cut at %d: %v", cut, err)
	}
	wantTrials, torn := 1, cut > 0 && !complete
	if complete {
		wantTrials = 2
	}
	if len(d.Trials) != wantTrials {
		t.Errorf("cut at %d: %d trials, want %d", cut, len(d.Trials), wantTrials)
	}
	reported := false
	for _, n := range d.Notes {
		reported = reported || n.Code == "truncated-line"
	}
	if reported != torn {
		t.Errorf("cut at %d: reported %v, want %v", cut, reported, torn)
	}
	w, _, err = Resume(path)
	if err != nil {
		t.Fatalf("cut at %d: %v", cut, err)
	}
	if err := errors.Join(w.Append(sample(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	d, err = Open(path)
	if err != nil {
		t.Fatalf("cut at %d, after resume: %v", cut, err)
	}
	if last := d.Trials[len(d.Trials)-1]; len(d.Trials) != wantTrials+1 || last.Replicate != 3 {
		t.Errorf("cut at %d, after resume: %d trials", cut, len(d.Trials))
	}
	left, _ := os.ReadFile(filepath.Join(path, TornFile))
	if torn && string(left) != string(line[:cut])+"\n" || !torn && left != nil {
		t.Errorf("cut at %d: %s holds %q", cut, TornFile, left)
	}
}

func TestRefusals(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no result directory") {
		t.Errorf("empty directory: %v", err)
	}
	good, _ := json.Marshal(sample(1))
	for name, c := range map[string]struct{ content, want string }{
		"malformed in the middle": {string(good) + "\n{\"schema\":1,\n" + string(good) + "\n", "x:2: "},
		"malformed last line":     {string(good) + "\n{]\n", "x:2: "},
		"wrong type":              {"{\"schema\":1,\"status\":\"ok\",\"replicate\":\"one\"}\n", "x:1: "},
		"newer":                   {"{\"schema\":99,\"status\":\"ok\"}", "newer stackmeter"},
		"no schema":               {"{}\n", "x:1: "},
		"unknown status":          {"{\"schema\":1,\"status\":\"fine\"}\n", `"fine"`},
	} {
		_, _, err := ReadTrials(strings.NewReader(c.content), "x")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	if trials, _, err := ReadTrials(strings.NewReader("\n"+string(good)+"\n\n"), "x"); err != nil || len(trials) != 1 {
		t.Errorf("blank lines: %d, %v", len(trials), err)
	}
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, ManifestFile), []byte("{\n\"seed\": x}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), ManifestFile+":2:") {
		t.Errorf("malformed manifest: %v", err)
	}
	w, err := Create(filepath.Join(path, "new"), manifest())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	bad := sample(1)
	bad.ThroughputBitsPerSecond = math.NaN()
	if err := w.Append(bad); err == nil || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("NaN: %v", err)
	}
}

// The line is on disk, whole, when Append returns, even if the process is
// killed at once.
func TestKilledWriterLosesNothing(t *testing.T) {
	if path := os.Getenv("RESULT_TEST_WRITE_AND_DIE"); path != "" {
		w, err := Create(path, manifest())
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 3; i++ {
			if err := w.Append(sample(i)); err != nil {
				t.Fatal(err)
			}
		}
		p, _ := os.FindProcess(os.Getpid())
		p.Kill()
		select {}
	}
	path := filepath.Join(t.TempDir(), "result")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriterLosesNothing$")
	cmd.Env = append(os.Environ(), "RESULT_TEST_WRITE_AND_DIE="+path)
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("the writer was not killed: %s", out)
	}
	w, d, err := Resume(path)
	if err != nil {
		t.Fatalf("the lock outlived its process, or the result is damaged: %v", err)
	}
	defer w.Close()
	if len(d.Trials) != 3 {
		t.Errorf("%d trials, want 3", len(d.Trials))
	}
}

func FuzzReadTrials(f *testing.F) {
	good, _ := json.Marshal(sample(1))
	f.Add(append(good, '\n'))
	f.Add(good)
	f.Add(append(append(bytes.Clone(good), '\n'), good[:40]...))
	f.Add([]byte("{}\n"))
	f.Add([]byte("\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		trials, tail, err := ReadTrials(bytes.NewReader(b), "x")
		if err != nil {
			return
		}
		if tail.Offset+tail.Length > int64(len(b)) {
			t.Fatalf("tail %+v of %d bytes", tail, len(b))
		}
		// What was read can be written and read again.
		var out bytes.Buffer
		for i := range trials {
			line, err := json.Marshal(trials[i])
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(line, '\n'))
		}
		again, tail, err := ReadTrials(&out, "x")
		if err != nil || tail.Length != 0 || len(again) != len(trials) {
			t.Fatalf("%d trials became %d: %v", len(trials), len(again), err)
		}
	})
}
