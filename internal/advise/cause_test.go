package advise

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/topo"
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
	for _, strangers := range [][]Stranger{
		{{1, "x", 0.9, "0"}},
		{{1, "two threads", 1.8, "0-1"}},
		{{1, "x", 0.45, "0"}, {2, "y", 0.45, "1"}},
	} {
		e := captured(t, "affinity")
		e.Strangers = strangers
		if found, _ := Causes(e); found[0].Name != NotTheStack {
			t.Errorf("%+v: first %s", strangers, found[0].Name)
		}
	}
	e := captured(t, "affinity")
	e.Strangers = []Stranger{{1, "seven threads", 7, "0-7"}}
	for len(e.CPUs) < 8 {
		e.CPUs = append(e.CPUs, CPU{CPU: len(e.CPUs), Busy: 1})
	}
	if found, _ := Causes(e); found[0].Name != NotTheStack {
		t.Errorf("seven of eight CPUs taken: first %s", found[0].Name)
	}
}

// TestLinks names a full link, and a narrow one where its NICs fill it, and neither where it is far from full.
func TestLinks(t *testing.T) {
	narrow := topo.Judgement{Code: "link-narrow", Severity: topo.Problem, Text: "narrow", NICs: []string{"srv0"}, CapacityBits: 63e9}
	for _, tc := range []struct {
		name, base  string
		rate, speed float64
		mtu         int
		arrangement []topo.Judgement
		limit       bool // link-limit comes first
	}{
		{"a full link", "unspoilt", 941e6, 1e9, 1500, nil, true},
		{"a full link, small frames", "unspoilt", 840e6, 1e9, 576, nil, true},
		{"a full link and GRO off", "gro-off", 941e6, 1e9, 1500, nil, true},
		{"a link with room", "unspoilt", 700e6, 1e9, 1500, nil, false},
		{"no link known", "unspoilt", 941e6, 0, 1500, nil, false},
		{"a narrow PCI link with room", "unspoilt", 941e6, 100e9, 1500, []topo.Judgement{narrow}, false},
		{"a narrow PCI link, full", "unspoilt", 55e9, 100e9, 9000, []topo.Judgement{narrow}, true},
	} {
		e := captured(t, tc.base)
		for i := range e.NICs {
			n := &e.NICs[i]
			n.Throughput, n.LinkBits, n.MTU, n.Held = tc.rate, tc.speed, tc.mtu, 0
			n.BytesPerFrame = float64(tc.mtu + ethernetHeader)
		}
		for i := range e.CPUs {
			e.CPUs[i].Busy = 0.3
		}
		e.Arrangement = tc.arrangement
		found, _ := Causes(e)
		if got := len(found) > 0 && found[0].Name == LinkLimit; got != tc.limit {
			t.Errorf("%s: %+v", tc.name, found)
		}
	}
}

// TestSmallMTUs leaves MTUs a little below Ethernet's alone, and those of hosts to who knows the path.
func TestSmallMTUs(t *testing.T) {
	for mtu, want := range map[int]bool{1500: false, 1492: false, 1460: false, 1400: false, 1280: true, 576: true} {
		e := captured(t, "unspoilt")
		for i := range e.NICs {
			e.NICs[i].MTU, e.NICs[i].BytesPerFrame = mtu, float64(mtu)
		}
		found, _ := Causes(e)
		if got := slices.ContainsFunc(found, func(c Cause) bool { return c.Name == SmallMTU }); got != want {
			t.Errorf("MTU %d: %+v", mtu, found)
		}
	}
	e := captured(t, "small-mtu")
	causes, _ := Causes(e)
	for _, jumbo := range []bool{false, true} {
		got, left := Candidates(e, causes, Place{NICs: []string{"srv0", "srv1"}, Hosts: true, Jumbo: jumbo})
		offered := slices.ContainsFunc(got, func(r Remedy) bool { return r.Name == "mtu=1500" })
		told := slices.ContainsFunc(left, func(u Untested) bool { return u.What == "mtu" && strings.Contains(u.Why, "--jumbo") })
		if offered != jumbo || told == jumbo {
			t.Errorf("--jumbo %v: offered %v, told %v", jumbo, offered, told)
		}
	}
}

// TestPlacementIsWhatWasMeasured wants each NIC's interrupts, of however many queues, on the CPU of its reader.
func TestPlacementIsWhatWasMeasured(t *testing.T) {
	e := captured(t, "affinity")
	for i := range e.CPUs {
		e.CPUs[i].CPU = 8 + i
	}
	for i := range e.NICs {
		e.NICs[i].ReaderCPUs = ""
	}
	causes, _ := Causes(e)
	got, _ := Candidates(e, causes, Place{NICs: []string{"eth1", "eth2"}, Hosts: true})
	want := []string{
		"stackmeter tune set irq-affinity=8 --nic eth1", "stackmeter tune set irq-affinity=9 --nic eth2",
		"taskset -cp 8 PID   # the process that reads from eth1", "taskset -cp 9 PID   # the process that reads from eth2",
	}
	for name, want := range map[string][]string{"placement=both": want, "placement=process": want[2:]} {
		i := slices.IndexFunc(got, func(r Remedy) bool { return r.Name == name })
		if i < 0 || !slices.Equal(got[i].Commands, want) {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
}

// TestLimitsOfTheProfileAreTold wants the reason where a figure of the profile is missing.
func TestLimitsOfTheProfileAreTold(t *testing.T) {
	e := captured(t, "unspoilt")
	e.Profile = look(&profile.Profile{Limits: []profile.Limit{{What: "pass sample", Why: "no right to sample"}}})
	_, not := Causes(e)
	for _, c := range not {
		if (c.Name == LockContention || c.Name == CopyBound) && !strings.Contains(c.Seen, "no right to sample") {
			t.Errorf("%s: %s", c.Name, c.Seen)
		}
	}
}
