package report

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

const planJSON = `{"name":"paper","title":"How this machine's TCP/IP stack scales (synthetic)","defaults":{"message_size":"8192","nics":"2"},
"experiments":[
{"name":"smp","title":"SMP scalability (Figures 1 and 2)"},
{"name":"affinity","title":"IRQ and process affinity (Table 1, Figure 3)","baseline":{"affinity":"none","unpinned":"scatter"}},
{"name":"nics","title":"NIC scalability (Figure 7)"},
{"name":"mtu","title":"Frames of 1500 and 9000 bytes (section 4.2)","baseline":{"mtu":"1500","gro":"off"}}]}`

// write makes a result directory of synthetic trials and reads it back.
func write(t testing.TB, o synthetic.Options) *result.Dir {
	t.Helper()
	return writeTrials(t, "paper", planJSON, synthetic.Trials(o), planned(o))
}

func writeTrials(t testing.TB, name, plan string, trials []trial.Trial, planned int) *result.Dir {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result")
	w, err := result.Create(path, result.Manifest{
		Plan: result.Plan{Name: name, Resolved: json.RawMessage(plan)}, Seed: 7,
		Versions:    result.Versions{Stackmeter: "synthetic", Go: "go1.26", Kernel: "6.18.5"},
		CommandLine: []string{"stackmeter", "study", name}, Rig: "veth", PlannedTrials: planned,
		Started: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.SetHosts(result.Hosts{"server": json.RawMessage(
		`{"kernel":"6.18.5","cpu":{"model":"AMD EPYC (synthetic)","online":[0,1],"smt":false},"memory_bytes":8589934592,` +
			`"nics":[{"name":"sm-nic0","driver":"veth","mtu":1500},{"name":"sm-nic1","driver":"veth","mtu":1500}],"governor":""}`,
	)})
	for i := range trials {
		err = errors.Join(err, w.Append(&trials[i]))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	d, err := result.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// planned is how many trials the study would have without mishaps.
func planned(o synthetic.Options) int {
	o.Missing, o.Bad = false, false
	return len(synthetic.Trials(o))
}
