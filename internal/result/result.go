// Package result keeps what a study found: a directory with
//
//	manifest.json  what was asked, by which program (Manifest)
//	hosts.json     facts about each host, by role
//	trials.jsonl   one JSON object a line, one line a trial (internal/trial)
//	trials.torn    what crashes left of the trial in flight, if any
//
// The directory is the only truth: every table, figure and export is derived
// from it and can be made again. Trials are appended with one write and synced
// to disk each, so a crash loses at most the trial in flight; a last line
// without its newline is tolerated when reading, reported, and moved to
// trials.torn when writing goes on. Anything else malformed is an error that
// names file and line, never skipped.
//
// One process writes at a time (flock on the directory); any number may read
// meanwhile. The format is described in doc/result-format.md.
package result

import (
	"encoding/json"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// The files of a result.
const (
	ManifestFile = "manifest.json"
	HostsFile    = "hosts.json"
	TrialsFile   = "trials.jsonl"
	TornFile     = "trials.torn"
)

// Manifest says what was asked and by which program. It is written once.
type Manifest struct {
	SchemaVersion int       `json:"schema_version"` // trial.SchemaVersion of the writer
	Plan          Plan      `json:"plan"`
	Seed          uint64    `json:"seed"` // of the randomised order; a 64-bit integer, beyond what a float64 holds
	Versions      Versions  `json:"versions"`
	CommandLine   []string  `json:"command_line"`
	Started       time.Time `json:"started"`
	Rig           string    `json:"rig"` // "veth", "wire", "vm" or "hosts"
	// Accelerator is what ran the guest's instructions on the rig "vm": "kvm", or "tcg", whose
	// figures are functional only.
	Accelerator   string `json:"accelerator,omitempty"`
	PlannedTrials int    `json:"planned_trials"` // without repetitions of contaminated ones
	// PaperReference names the figures and tables of the paper that the plan
	// repeats, as "Table 1".
	PaperReference []string `json:"paper_reference,omitempty"`
	// Warnings hold for the whole study: factors that this machine can't
	// offer, ...
	Warnings []trial.Warning `json:"warnings,omitempty"`
}

// Plan is the plan that ran.
type Plan struct {
	Name     string          `json:"name"`
	Resolved json.RawMessage `json:"resolved,omitempty"` // the whole plan with every default filled in
}

// Versions are those of the programs that made the result.
type Versions struct {
	Stackmeter string `json:"stackmeter"`
	Go         string `json:"go"`
	Kernel     string `json:"kernel"`
}

// Hosts holds the facts about each host, keyed by role ("server", "client").
type Hosts map[string]json.RawMessage

// Dir is a result as read.
type Dir struct {
	Path     string
	Manifest Manifest
	Hosts    Hosts // empty if hosts.json is missing
	Trials   []trial.Trial
	// Notes tell of what was tolerated: a truncated last line, a missing
	// hosts.json.
	Notes []trial.Warning
}

// Key names one planned trial: a cell of an experiment in one replicate.
type Key struct {
	Experiment string
	Cell       string // trial.Cell of the levels
	Replicate  int
}

// KeyOf is the key of a trial.
func KeyOf(t *trial.Trial) Key {
	return Key{t.Experiment, trial.Cell(t.Levels), t.Replicate}
}

// Progress is what is on record for one planned trial.
type Progress struct {
	OK       bool // a trial that counts is on record
	Attempts int  // trials of any status on record
}

// Progress tells what is on record, so that a resumed study runs only the
// rest.
func (d *Dir) Progress() map[Key]Progress {
	done := make(map[Key]Progress, len(d.Trials))
	for i := range d.Trials {
		t := &d.Trials[i]
		p := done[KeyOf(t)]
		p.Attempts++
		p.OK = p.OK || t.Status == trial.OK
		done[KeyOf(t)] = p
	}
	return done
}
