package experiment

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestScheduleIsCompleteBlocks holds any design against what a randomised complete block design
// is: each replicate has every cell once, and the seed alone decides the order.
func TestScheduleIsCompleteBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Plan{Replicates: rapid.IntRange(1, 7).Draw(t, "replicates")}
		for i := range rapid.IntRange(1, 3).Draw(t, "experiments") {
			e := Experiment{Name: fmt.Sprint("e", i)}
			for j := range rapid.IntRange(1, 3).Draw(t, "factors") {
				f := FactorLevels{Name: fmt.Sprint("f", j)}
				for k := range rapid.IntRange(1, 4).Draw(t, "levels") {
					f.Levels = append(f.Levels, fmt.Sprint(k))
				}
				e.Factors = append(e.Factors, f)
			}
			p.Experiments = append(p.Experiments, e)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		s := Schedule(p, seed)
		if !reflect.DeepEqual(s, Schedule(p, seed)) {
			t.Fatal("one seed, two orders")
		}
		at := 0
		for i := range p.Experiments {
			cells := p.Experiments[i].Cells()
			for rep := 1; rep <= p.Replicates; rep++ {
				var block []string
				for _, planned := range s[at : at+len(cells)] {
					at++
					if planned.Experiment != i || planned.Replicate != rep || planned.Order != at {
						t.Fatalf("place %d holds %+v, want experiment %d, replicate %d", at, planned, i, rep)
					}
					block = append(block, planned.Cell.Key())
				}
				var want []string
				for _, c := range cells {
					want = append(want, c.Key())
				}
				slices.Sort(block)
				slices.Sort(want)
				if !slices.Equal(block, want) {
					t.Fatalf("block %d has %v, want %v", rep, block, want)
				}
			}
		}
		if at != len(s) {
			t.Fatalf("%d trials, want %d", len(s), at)
		}
	})
}

// TestScheduleIsRandom wants each cell to come first in about as many blocks as any other.
func TestScheduleIsRandom(t *testing.T) {
	p := &Plan{Replicates: 4000, Experiments: []Experiment{{Name: "e", Factors: []FactorLevels{{"f", []string{"a", "b", "c", "d"}}}}}}
	first := map[string]int{}
	for i, planned := range Schedule(p, 42) {
		if i%4 == 0 {
			first[planned.Cell["f"]]++
		}
	}
	for cell, n := range first {
		if n < 850 || n > 1150 { // 1000, standard deviation 27
			t.Errorf("cell %s comes first %d times of 4000", cell, n)
		}
	}
	if reflect.DeepEqual(Schedule(p, 1), Schedule(p, 2)) {
		t.Error("two seeds, one order")
	}
}

func TestCells(t *testing.T) {
	e := Experiment{
		Name:    "e",
		Factors: []FactorLevels{{"affinity", []string{"none", "both"}}, {"nics", []string{"1", "2"}}},
		Include: []Levels{{"affinity": "irq", "nics": "2"}, {"affinity": "none", "nics": "1"}},
		Exclude: []Levels{{"affinity": "both", "nics": "1"}},
	}
	var keys []string
	for _, c := range e.Cells() {
		keys = append(keys, c.Key())
	}
	same(t, keys, "affinity=none,nics=1", "affinity=none,nics=2", "affinity=both,nics=2", "affinity=irq,nics=2")
}

// TestConfig wants a cell's level to win over the plan's default, and that over the house's.
func TestConfig(t *testing.T) {
	c, err := Levels{"nics": "3", "gro": "off", "message_size": "8KiB"}.Config(Levels{"nics": "2", "mtu": "9000", "nodelay": "off"})
	if err != nil {
		t.Fatal(err)
	}
	if c.NICs != 3 || c.GRO || c.MessageBytes != 8192 || c.MTU != 9000 || c.NoDelay || c.SocketBuffer != 65536 || c.Congestion != "cubic" || c.CPUs != 0 || c.Unpinned != Scatter {
		t.Errorf("configuration %+v", c)
	}
	for _, bad := range []Levels{{"nics": "0"}, {"nics": "many"}, {"colour": "red"}, {"mtu": "10"}, {"affinity": "sideways"}, {"gro": "perhaps"}, {"congestion": ""}} {
		if c, err := bad.Config(nil); err == nil {
			t.Errorf("%v gave %+v", bad, c)
		}
	}
}

// TestFactorsAreCanonical sets the canonical form of every default once more.
func TestFactorsAreCanonical(t *testing.T) {
	for _, f := range Factors() {
		if f.Doc == "" {
			t.Errorf("factor %s has no documentation", f.Name)
		}
		level, ok := defaultLevels[f.Name]
		if !ok {
			if f.Name != "cpus" && !strings.HasPrefix(f.Name, StackPrefix) { // all of them; as the stack has it
				t.Errorf("factor %s has no default", f.Name)
			}
			continue
		}
		var c, d Config
		canon, err := f.Set(&c, level)
		again, err2 := f.Set(&d, canon)
		if err != nil || err2 != nil || canon != level || again != canon || !reflect.DeepEqual(c, d) {
			t.Errorf("factor %s: default %q is %q, then %q (%v, %v)", f.Name, level, canon, again, err, err2)
		}
	}
}

func TestPinning(t *testing.T) {
	cpus := []int{2, 5}
	for _, tc := range []struct {
		a            Affinity
		irq, process []int // of NIC 0, 1, 2
	}{
		{AffinityNone, []int{-1, -1, -1}, []int{-1, -1, -1}},
		{AffinityIRQ, []int{2, 5, 2}, []int{-1, -1, -1}},
		{AffinityProcess, []int{-1, -1, -1}, []int{2, 5, 2}},
		{AffinityBoth, []int{2, 5, 2}, []int{2, 5, 2}},
		{AffinityOpposite, []int{2, 5, 2}, []int{5, 2, 5}},
	} {
		for nic := range 3 {
			c := Config{Affinity: tc.a}
			if i, p := irqCPU(c, nic, cpus), processCPU(c, nic, cpus); i != tc.irq[nic] || p != tc.process[nic] {
				t.Errorf("%s, NIC %d: IRQ on %d, process on %d", tc.a, nic, i, p)
			}
		}
	}
	for client, want := range map[Client]int{ClientUnpinned: -1, ClientAsFound: -1, ClientSame: 5, ClientOpposite: 2} {
		if got := clientCPU(Config{Client: client}, 1, cpus); got != want {
			t.Errorf("client %s: on %d, want %d", client, got, want)
		}
	}
}

func TestNormalizeNamesTheField(t *testing.T) {
	if err := simple(1, 1).Normalize(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Plan){
		"name":                                func(p *Plan) { p.Name = "Big Name" },
		"replicates":                          func(p *Plan) { p.Replicates = 0 },
		"max_attempts":                        func(p *Plan) { p.MaxAttempts = 21 },
		"stranger_limit":                      func(p *Plan) { p.StrangerLimit = 0 },
		"ramp_up":                             func(p *Plan) { p.Timing.RampUp = -1 },
		"window":                              func(p *Plan) { p.Timing.Window = time.Hour },
		"interval":                            func(p *Plan) { p.Timing.Interval = 2 * p.Timing.Window },
		"experiments: none":                   func(p *Plan) { p.Experiments = nil },
		"defaults: unknown factor":            func(p *Plan) { p.Defaults["colour"] = "red" },
		"defaults.mtu":                        func(p *Plan) { p.Defaults["mtu"] = "1" },
		"experiments[1].name":                 func(p *Plan) { p.Experiments = append(p.Experiments, p.Experiments[0]) },
		"experiments[0].name":                 func(p *Plan) { p.Experiments[0].Name = "" },
		"experiments[0].factors: none":        func(p *Plan) { p.Experiments[0].Factors = nil },
		"experiments[0].factors.message_size": func(p *Plan) { p.Experiments[0].Factors[0].Levels = nil },
		"1024 stands twice":                   func(p *Plan) { p.Experiments[0].Factors[0].Levels = []string{"1KiB", "1024"} },
		"experiments[0].baseline.mtu: is no factor": func(p *Plan) {
			p.Experiments[0].Baseline = Levels{"mtu": "1500"}
		},
		"experiments[0].include[0].mtu: is no factor": func(p *Plan) {
			p.Experiments[0].Include = []Levels{{"mtu": "1500"}}
		},
		"opposite needs at least 2 CPUs": func(p *Plan) {
			p.Defaults["cpus"], p.Defaults["affinity"] = "1", "opposite"
		},
		"flows, want at most": func(p *Plan) { p.Defaults["nics"], p.Defaults["flows_per_nic"] = "64", "1024" },
		`engine "warp"`:       func(p *Plan) { p.Defaults["engine"] = "warp" },
	} {
		p := simple(1, 1)
		change(p)
		if err := p.Normalize(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	p := simple(1, 1)
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	once := maps.Clone(p.Defaults)
	if err := p.Normalize(); err != nil || !maps.Equal(once, p.Defaults) || p.Defaults["socket_buffer"] != "65536" {
		t.Errorf("a canonical plan changes: %v, %v", p.Defaults, err)
	}
}
