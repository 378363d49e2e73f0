package export

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"
	"testing"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

func dir(o synthetic.Options) *result.Dir {
	return &result.Dir{
		Manifest: result.Manifest{Rig: "veth", Versions: result.Versions{Kernel: "6.18.5"}, Plan: result.Plan{Name: "paper"}},
		Trials:   synthetic.Trials(o),
	}
}

// The Go project's own reader takes the lines, and its statistics find the
// effect that was put in.
func TestGoBenchAsBenchstatReadsIt(t *testing.T) {
	d := dir(synthetic.Options{Seed: 1, Replicates: 8, Sizes: []int{4096, 8192}, Bad: true})
	ok := 0
	for i := range d.Trials {
		if d.Trials[i].Status == trial.OK {
			ok++
		}
	}
	var b bytes.Buffer
	if err := GoBench(&b, d); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&b, "x")
	lines, units := 0, map[string]string{}
	byName := map[string][]float64{}
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Fatal(rec)
		case *benchfmt.UnitMetadata:
			units[rec.Unit] = rec.Value
		case *benchfmt.Result:
			lines++
			if v, has := rec.Value(unitServer); has {
				byName[string(rec.Name)] = append(byName[string(rec.Name)], v)
			}
			if rec.GetConfig("kernel") != "6.18.5" {
				t.Errorf("kernel %q", rec.GetConfig("kernel"))
			}
		}
	}
	if err := r.Err(); err != nil || lines != ok {
		t.Errorf("%d lines of %d trials, %v", lines, ok, err)
	}
	if units[unitServer] != "higher" || units["sec/KiB"] != "lower" /* the reader turns ns into sec */ {
		t.Errorf("units %v", units)
	}
	none := byName["TCPStream/experiment=affinity/msg=4096/affinity=none/unpinned=scatter"]
	both := byName["TCPStream/experiment=affinity/msg=4096/affinity=both/unpinned=scatter"]
	if len(none) != 8 || len(both) != 8 {
		t.Fatalf("%d and %d values; names: %v", len(none), len(both), byName)
	}
	th := &benchmath.DefaultThresholds
	a, c := benchmath.NewSample(none, th), benchmath.NewSample(both, th)
	cmp := benchmath.AssumeNothing.Compare(a, c)
	gain := benchmath.AssumeNothing.Summary(c, 0.95).Center/benchmath.AssumeNothing.Summary(a, 0.95).Center - 1
	if cmp.P > 0.01 || math.Abs(gain-synthetic.Effects["both"]) > 0.05 {
		t.Errorf("gain %v, %v", gain, cmp)
	}
}

func TestCSV(t *testing.T) {
	d := dir(synthetic.Options{Seed: 3, Bad: true, NoGroups: true})
	d.Trials[0].Error = "a \"quoted\", error\nover two lines"
	var b bytes.Buffer
	if err := CSV(&b, d); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(d.Trials)+1 {
		t.Fatalf("%d rows of %d trials", len(rows), len(d.Trials))
	}
	col := map[string]int{}
	for i, n := range rows[0] {
		if _, twice := col[n]; twice {
			t.Errorf("column %q stands twice", n)
		}
		col[n] = i
	}
	for i, r := range rows[1:] {
		x := &d.Trials[i]
		v, err := strconv.ParseFloat(r[col["throughput_bits_per_second"]], 64)
		if x.Status != trial.Failed && (err != nil || v != x.ThroughputBitsPerSecond) {
			t.Errorf("%s: throughput %q, want %v", x.ID, r[col["throughput_bits_per_second"]], x.ThroughputBitsPerSecond)
		}
		if r[col["affinity"]] != x.Levels["affinity"] || r[col["status"]] != string(x.Status) || r[col["error"]] != x.Error {
			t.Errorf("row %d: %q", i+1, r)
		}
		if r[col["server_throughput_scaled_to_cpu_bits_per_second"]] != "" {
			t.Error("a figure that was not measured is not empty")
		}
	}
}

func TestFind(t *testing.T) {
	for _, f := range Formats() {
		if g, err := Find(f.Name); err != nil || g.Encode == nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if _, err := Find("xml"); err == nil {
		t.Error("found xml")
	}
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{"as-found": "as-found", "a b/c=d": "a_b_c_d", "kernel-8": "kernel_8", "-": "-", "8": "8", "x-": "x-"} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q, want %q", in, got, want)
		}
	}
}
