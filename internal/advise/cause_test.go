package advise

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
)

// captured is the evidence of a real run on the rig, spoilt in the way that names the file.
func captured(t *testing.T, name string) *Evidence {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var e Evidence
	if err := json.NewDecoder(z).Decode(&e); err != nil {
		t.Fatal(err)
	}
	return &e
}

// TestCausesOfTheRig holds the rules against evidence captured on the rig, spoilt in each way
// and not. Processes of others that ran on the machine beside the rig are taken out.
func TestCausesOfTheRig(t *testing.T) {
	for name, want := range map[string]string{
		"affinity": CPUsApart, "gro-off": GROOff, "small-mtu": SmallMTU, "small-buffer": ReceiveWindow,
		"rate-limit": LinkLimit, "competitor": NotTheStack, "unspoilt": "",
	} {
		found, looked := Causes(captured(t, name))
		if want == "" {
			for _, c := range found {
				if c.Mend != "" {
					t.Errorf("%s: named %s: %s", name, c.Name, c.Text)
				}
			}
			continue
		}
		if len(found) == 0 || found[0].Name != want {
			t.Errorf("%s: found %+v, want %s first; not found: %+v", name, found, want, looked)
			continue
		}
		if c := found[0]; c.Text == "" || c.Rule == "" || len(c.Why) < 1 || c.Title == "" {
			t.Errorf("%s: a cause without its evidence: %+v", name, c)
		}
	}
}

// TestEveryCause changes the evidence of the unspoilt rig until a cause is there, and takes care
// that a little less is none.
func TestEveryCause(t *testing.T) {
	half := func(e *Evidence) {
		for i := range e.CPUs {
			e.CPUs[i].Busy = 0.5
		}
	}
	for name, c := range map[string]struct{ there, almost func(*Evidence) }{
		LinkLimit: {
			func(e *Evidence) { e.NICs[0].Throughput, e.NICs[0].Held = 1e9, 5000 },
			func(e *Evidence) { e.NICs[0].Throughput, e.NICs[0].Held = 1e9, 5 },
		},
		ReceiveWindow: {
			func(e *Evidence) {
				half(e)
				for i := range e.Flows {
					e.Flows[i].Known, e.Flows[i].ReceiveWindow = true, 0.6
				}
			},
			func(e *Evidence) {
				for i := range e.Flows {
					e.Flows[i].Known, e.Flows[i].ReceiveWindow, e.Flows[i].ReceiveBuffer = true, 0.6, 6<<20
				}
			},
		},
		SenderLimit: {
			func(e *Evidence) {
				half(e)
				for i := range e.Flows {
					e.Flows[i].Known, e.Flows[i].SendBuffer = true, 0.6
				}
			},
			func(e *Evidence) {
				for i := range e.Flows {
					e.Flows[i].Known, e.Flows[i].SendBuffer = true, 0.6
				}
			},
		},
		NotTheStack: {
			func(e *Evidence) { e.Strangers = []Stranger{{1, "x", 0.3, "0"}} },
			func(e *Evidence) { e.Strangers = []Stranger{{1, "x", 0.2, "0"}} },
		},
		CPUsApart: {
			func(e *Evidence) { e.Profile = nil; e.NICs[0].WorkCPUs, e.NICs[0].ReaderCPUs = "1", "0" },
			func(e *Evidence) { e.Profile = nil; e.NICs[0].WorkCPUs, e.NICs[0].ReaderCPUs = "0-1", "0" },
		},
		GROOff: {
			func(e *Evidence) { e.NICs[1].GRO = "off" },
			func(e *Evidence) { e.NICs[1].GRO, e.NICs[1].BytesPerFrame = "off", 40000 },
		},
		SmallMTU: {
			func(e *Evidence) { e.NICs[1].MTU, e.NICs[1].BytesPerFrame = 1280, 1280 },
			func(e *Evidence) { e.NICs[1].MTU, e.NICs[1].BytesPerFrame = 1280, 90 },
		},
		QueueSaturated: {
			func(e *Evidence) { e.CPUs[0] = CPU{0, 1, 0.9}; e.CPUs[1] = CPU{1, 0.2, 0} },
			func(e *Evidence) { e.Profile = nil; e.CPUs[0] = CPU{0, 1, 0.3}; e.CPUs[1] = CPU{1, 0.2, 0} },
		},
		LockContention: {func(e *Evidence) { e.Profile.Locks = 0.3 }, func(e *Evidence) { e.Profile.Locks = 0.05 }},
		CopyBound:      {func(e *Evidence) { e.Profile.Copy = 0.6 }, func(e *Evidence) { half(e); e.Profile.Copy = 0.6 }},
		Idle:           {half, func(e *Evidence) {}},
	} {
		e := captured(t, "unspoilt")
		c.there(e)
		if found, _ := Causes(e); len(found) == 0 || found[0].Name != name {
			t.Errorf("%s: found %+v", name, found)
		}
		e = captured(t, "unspoilt")
		c.almost(e)
		found, looked := Causes(e)
		for _, x := range found {
			if x.Name == name {
				t.Errorf("%s: named by almost: %s", name, x.Text)
			}
		}
		for _, x := range looked {
			if x.Name == name && x.Seen == "" {
				t.Errorf("%s: does not say what was seen instead", name)
			}
		}
	}
}

// TestCandidates wants the remedy of each cause first, and jumbo frames only where they are
// asked for.
func TestCandidates(t *testing.T) {
	place := Place{Base: map[string]string{"affinity": "process"}, NICs: []string{"srv0", "srv1"}}
	for name, want := range map[string]string{
		"affinity": "napi-cpus=spread", "gro-off": "gro=on", "small-mtu": "mtu=1500", "small-buffer": "net.ipv4.tcp_rmem=4096 131072 67108864",
	} {
		e := captured(t, name)
		causes, _ := Causes(e)
		got, _ := Candidates(e, causes, place)
		if len(got) == 0 || got[0].Name != want {
			t.Errorf("%s: %+v, want %s first", name, got, want)
		}
		for _, r := range got {
			if len(r.Commands) == 0 || len(r.Levels) == 0 {
				t.Errorf("%s: %s has no command or changes nothing", name, r.Name)
			}
			if _, err := r.Levels.Config(nil); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	}
	e := captured(t, "unspoilt")
	e.Server = append(e.Server, Setting{agent.Tunable{Setting: "mtu", Scope: "nic", Target: "srv0", Value: "1500"}})
	for _, jumbo := range []bool{false, true} {
		place.Jumbo = jumbo
		offered := ""
		got, _ := Candidates(e, nil, place)
		for _, r := range got {
			if strings.HasPrefix(r.Name, "mtu=") {
				offered = r.Name
			}
		}
		if (offered == "mtu=9000") != jumbo {
			t.Errorf("jumbo %v: offered %q", jumbo, offered)
		}
	}
}

// TestRanks puts a stranger beside what the rig was spoilt with: who takes little of all CPUs is
// not the first thing to mend, who takes most of one of two is.
func TestRanks(t *testing.T) {
	for name, want := range map[string]string{"affinity": CPUsApart, "gro-off": GROOff, "small-mtu": SmallMTU, "small-buffer": ReceiveWindow, "rate-limit": LinkLimit} {
		e := captured(t, name)
		e.Strangers = []Stranger{{1, "x", 0.4, "0-1"}}
		found, _ := Causes(e)
		if found[0].Name != want || found[len(found)-1].Name == want {
			t.Errorf("%s: %+v", name, found)
		}
	}
	e := captured(t, "affinity")
	e.Strangers = []Stranger{{1, "x", 0.9, "0"}}
	if found, _ := Causes(e); found[0].Name != NotTheStack {
		t.Errorf("first %s", found[0].Name)
	}
}
