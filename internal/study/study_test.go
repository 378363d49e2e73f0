package study

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
)

func TestBuiltInPlansResolveOnEveryMachine(t *testing.T) {
	for _, name := range Names() {
		for _, cpus := range []int{1, 2, 3, 4, 8, 64, 256} {
			p, notes, err := Load(name, Machine{CPUs: cpus}, Overrides{})
			if err != nil {
				t.Errorf("%s on %d CPUs: %v", name, cpus, err)
				continue
			}
			if p.Name != name || p.Title == "" {
				t.Errorf("%s: name %q, title %q", name, p.Name, p.Title)
			}
			if sampled := name == "cpu-pairs" && cpus > mostPairCPUs; cpus > 1 && (len(notes) > 0) != sampled {
				t.Errorf("%s on %d CPUs leaves out: %v", name, cpus, notes)
			}
		}
	}
}

// TestQuickFitsThreeMinutes is about the measured time alone; what a trial costs
// beside it is seen when it runs.
func TestQuickFitsThreeMinutes(t *testing.T) {
	p, _, err := Load("quick", Machine{CPUs: 2}, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	n := len(experiment.Schedule(p, 1)) * p.MaxAttempts
	if d := time.Duration(n) * (p.Timing.RampUp + p.Timing.Window + 350*time.Millisecond); d > 3*time.Minute {
		t.Errorf("%d trials take %v", n, d)
	}
}

// TestPairsOfManyCPUs wants CPUs of each cache, in their own numbers, and the note that says so.
func TestPairsOfManyCPUs(t *testing.T) {
	for _, tc := range []struct {
		cpus     int
		clusters [][]int
		want     string
	}{
		{2, nil, "0 1"},
		{2, [][]int{{5, 7}}, "5 7"},
		{12, [][]int{{0, 1, 2, 3, 4, 5}, {6, 7, 8, 9, 10, 11}}, "0 1 2 3 6 7 8 9"},
		{11, [][]int{{0, 1}, {2, 3, 4, 5, 6, 7, 8, 9, 10}}, "0 1 2 3 4 5 6 7"},
	} {
		r := resolver{machine: Machine{CPUs: tc.cpus, Clusters: tc.clusters}}
		got := r.every("irq_cpu", []string{allCPUs})
		if strings.Join(got, " ") != tc.want || (tc.cpus > mostPairCPUs) != (len(r.notes) > 0) {
			t.Errorf("%d CPUs %v: %v, notes %v; want %s", tc.cpus, tc.clusters, got, r.notes, tc.want)
		}
	}
	if _, _, err := Load("cpu-pairs", Machine{CPUs: 2}, Overrides{Levels: map[string][]string{"affinity": {"both"}}}); err == nil || !strings.Contains(err.Error(), "leave one of them out") {
		t.Errorf("pairs and affinity together: %v", err)
	}
}

func TestPaperPlanHasThePapersCells(t *testing.T) {
	p, _, err := Load("paper", Machine{CPUs: 4}, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]int{}
	for i := range p.Experiments {
		cells[p.Experiments[i].Name] = len(p.Experiments[i].Cells())
	}
	// 7 message sizes; Table 1's five cases and the baseline as found; 1, 2, 4 CPUs; 1 to 7 NICs.
	want := map[string]int{"affinity": 42, "smp": 21, "smp-scatter": 21, "nics": 49, "mtu": 4}
	for name, n := range want {
		if cells[name] != n {
			t.Errorf("%s has %d cells, want %d", name, cells[name], n)
		}
	}
}

func TestOverridesReplaceLevelsAndDefaults(t *testing.T) {
	o := Overrides{Levels: map[string][]string{"message_size": {"1KiB", "64KiB"}, "nics": {"3"}}, Replicates: 2, Window: 50 * time.Millisecond}
	p, _, err := Load("affinity", Machine{CPUs: 2}, o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Replicates != 2 || p.Timing.Window != 50*time.Millisecond || p.Defaults["nics"] != "3" {
		t.Errorf("overrides not in force: %+v", p)
	}
	if n := len(p.Experiments[0].Cells()); n != 12 {
		t.Errorf("%d cells, want 6 at each of 2 message sizes", n)
	}
	o.Levels["receive"] = []string{"message", "any"}
	p, _, err = Load("affinity", Machine{CPUs: 2}, o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Experiments[0].Cells()); n != 24 {
		t.Errorf("%d cells, want twice as many with a factor more", n)
	}
	for _, c := range p.Experiments[0].Cells() {
		if c["message_size"] != "1024" && c["message_size"] != "65536" {
			t.Errorf("cell %s", c.Key())
		}
	}
}

// TestBadPlansNameTheField holds each error against the words that must be in it.
func TestBadPlansNameTheField(t *testing.T) {
	const good = "name: x\nexperiments:\n  - name: a\n    factors: {nics: [1]}\n"
	for _, tc := range []struct{ yaml, want string }{
		{"name: [x", "1:"},
		{good + "color: red\n", "color"},
		{good + "window: fast\n", "window"},
		{good + "window: 1ns\n", "window"},
		{good + "replicates: 0\n", "replicates"},
		{good + "replicates: many\n", "5:"},
		{good + "stranger_limit: lots\n", "stranger_limit"},
		{good + "defaults: {nics: 0}\n", "defaults.nics"},
		{good + "defaults: {colour: red}\n", "colour"},
		{strings.Replace(good, "[1]", "[1, 1]", 1), "twice"},
		{strings.Replace(good, "[1]", "[[1]]", 1), "factors.nics"},
		{strings.Replace(good, "[1]", "[]", 1), "experiments"},
		{strings.Replace(good, "nics: [1]", "message_size: [8KB]", 1), "message_size"},
		{strings.Replace(good, "nics: [1]", "affinity: [sideways]", 1), "affinity"},
		{good + "    include: [{mtu: 9000}]\n", "include[0].mtu"},
		{good + "    baseline: {mtu: 9000}\n", "baseline.mtu"},
		{good + "  - name: a\n    factors: {nics: [1]}\n", "experiments[1].name"},
		{good + "    half: true\n", "half"},
		{strings.Replace(good, "[1]", "[1, 2, 3]", 1) + "    effects: true\n", "factors.nics"},
		{"name: x\n", "experiments"},
		{"", "name"},
	} {
		_, _, err := parse([]byte(tc.yaml), Machine{CPUs: 2}, Overrides{})
		if err == nil {
			t.Errorf("accepted:\n%s", tc.yaml)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %q does not contain %q for:\n%s", err, tc.want, tc.yaml)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		data, err := Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, err := parse(data, Machine{CPUs: 2}, Overrides{})
		if err != nil {
			return
		}
		if err := p.Normalize(); err != nil {
			t.Errorf("a plan that was accepted is not canonical: %v", err)
		}
	})
}

// TestPlanFormatNamesEveryFactor holds doc/plan-format.md against the program.
func TestPlanFormatNamesEveryFactor(t *testing.T) {
	doc, err := os.ReadFile("../../doc/plan-format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range experiment.Factors() {
		if strings.HasPrefix(f.Name, experiment.StackPrefix) && f.Name != "stack_device" {
			continue // one row stands for all techniques
		}
		if !strings.Contains(string(doc), "| `"+f.Name+"` |") {
			t.Errorf("doc/plan-format.md has no row for the factor %s", f.Name)
		}
	}
	_, example, _ := strings.Cut(string(doc), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, _, err := parse([]byte(example), Machine{CPUs: 2}, Overrides{}); err != nil {
		t.Errorf("the example of doc/plan-format.md is no plan: %v", err)
	}
}
