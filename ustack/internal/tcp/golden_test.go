package tcp

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/throughput.txt anew")

// The golden table: throughput in virtual time over loss, delay, reordering and what is
// switched on, on a path of 100 Mb/s with a queue of 250 kB and interrupts every 400 us.
// A cell is the median of five seeds, in Mb/s.
//
// The simulation repeats exactly, so that as long as nothing changes the table is met to
// the digit. A change that moves one segment draws other losses from then on; the
// tolerances are for that. Over ten other sets of seeds, no column's geometric mean over
// the cells with losses or reordering was off by more than 14 %; one of those cells in a
// thousand was off by a factor of 3.2 (a timeout of 200 ms more or less), and cells with
// neither by 0.01 %. What a recovery is worth is more than a column's tolerance:
// TestGoldenTableTellsRecoveriesApart.
const (
	columnTolerance = 0.16 // of a column's geometric mean
	cellFactor      = 3.5
	calmTolerance   = 0.03 // of cells without losses and reordering

	goldenSeeds = 5
	goldenFile  = "testdata/throughput.txt"
)

// goldenKinds are the columns.
var goldenKinds = []struct {
	name   string
	cfg    Config
	single bool // one segment a bunch, else they are gathered
}{
	{name: "full"},
	{name: "gather=1", single: true},
	{name: "newreno", cfg: Config{Congestion: NewReno}},
	{name: "no-rack", cfg: Config{NoRACK: true}},
	{name: "no-sack", cfg: Config{NoSACK: true}},
	{name: "no-stamps", cfg: Config{NoTimestamp: true}},
	{name: "paced", cfg: Config{Pacing: true}},
	{name: "ecn", cfg: Config{ECN: true}},
}

// goldenRow is a network.
type goldenRow struct {
	loss, reorder float64
	delay         int64 // one way
}

func goldenRows() (rows []goldenRow) {
	for _, delay := range []int64{100_000, 2 * millisecond, 20 * millisecond} {
		for _, loss := range []float64{0, 0.001, 0.01, 0.05} {
			for _, reorder := range []float64{0, 0.02} {
				rows = append(rows, goldenRow{loss, reorder, delay})
			}
		}
	}
	return rows
}

func (r goldenRow) String() string {
	return fmt.Sprintf("%6g %7g %7.1f", r.loss*100, r.reorder*100, float64(r.delay)/millisecond)
}

// throughput is a cell.
func (r goldenRow) throughput(t *testing.T, kind int, firstSeed uint64) float64 {
	k := goldenKinds[kind]
	// Long enough that a timeout does not decide alone.
	total := 1_500_000
	if r.delay < millisecond {
		total = 6_000_000
	} else if r.delay < 10*millisecond {
		total = 3_000_000
	}
	var rates []float64
	for seed := range uint64(goldenSeeds) {
		p := path{
			loss: r.loss, reorder: r.reorder, delay: r.delay, rate: 12_500_000, queue: 250_000, mark: true,
			moderate: 400_000, gather: !k.single,
		}
		cfg := sized(k.cfg)
		s := newSim(t, firstSeed+seed+uint64(r.loss*1e6+r.reorder*1e4)+uint64(r.delay), p, cfg, cfg, [2]int{total, 0})
		s.run(3600 * second)
		rates = append(rates, float64(total)*8/1e6/(float64(s.progress-begin)/second))
	}
	slices.Sort(rates)
	return rates[goldenSeeds/2]
}

// calm reports whether nothing is lost or reordered.
func (r goldenRow) calm() bool { return r.loss == 0 && r.reorder == 0 }

// TestGoldenTable compares throughput with the table; in -short only the rows of 2 ms.
// 'go test -run GoldenTable -update' writes the table anew.
func TestGoldenTable(t *testing.T) {
	rows := goldenRows()
	if *update {
		writeGolden(t, rows)
	}
	want := readGolden(t)
	for k, kind := range goldenKinds {
		sum, n := 0.0, 0.0
		for i, r := range rows {
			if testing.Short() && r.delay != 2*millisecond {
				continue
			}
			got := r.throughput(t, k, 1)
			off := math.Log(got / want[i][k])
			most := math.Log(cellFactor)
			if r.calm() {
				most = calmTolerance
			} else {
				sum += off
				n++
			}
			if math.Abs(off) > most {
				t.Errorf("%s: loss %g, reorder %g, delay %d us: %.2f Mb/s, the table has %.2f: if it is meant to be so, write it anew with -update",
					kind.name, r.loss, r.reorder, r.delay/1000, got, want[i][k])
			}
		}
		if off := math.Exp(sum/n) - 1; math.Abs(off) > columnTolerance {
			t.Errorf("%s: with losses and reordering %+.0f %% against the table: if it is meant to be so, write it anew with -update", kind.name, off*100)
		}
	}
}

// TestGoldenTableTellsRecoveriesApart holds that the tolerance is narrower than what
// RACK and SACK are worth, so that losing either is noticed.
func TestGoldenTableTellsRecoveriesApart(t *testing.T) {
	want := readGolden(t)
	worth := map[string]float64{}
	for k, kind := range goldenKinds {
		sum, n := 0.0, 0.0
		for i, r := range goldenRows() {
			if !r.calm() {
				sum += math.Log(want[i][k] / want[i][0])
				n++
			} else if r.delay < 20*millisecond && want[i][k] < 85 {
				t.Errorf("%s: %.1f of 100 Mb/s with nothing in the way", kind.name, want[i][k])
			}
		}
		worth[kind.name] = math.Exp(sum / n)
	}
	t.Logf("against full, with losses and reordering: %v", worth)
	for _, name := range []string{"no-rack", "no-sack"} {
		if worth[name] > 1-columnTolerance {
			t.Errorf("%s has %.2f of full: the tolerance would hide its loss", name, worth[name])
		}
	}
}

func writeGolden(t *testing.T, rows []goldenRow) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Mb/s of 100. Loss and reordering in %%, delay one way in ms. See golden_test.go.\n%6s %7s %7s", "loss", "reorder", "delay")
	for _, k := range goldenKinds {
		fmt.Fprintf(&b, " %9s", k.name)
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "\n%s", r)
		for k := range goldenKinds {
			fmt.Fprintf(&b, " %9.2f", r.throughput(t, k, 1))
		}
	}
	b.WriteString("\n")
	if err := os.MkdirAll(filepath.Dir(goldenFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readGolden returns the table's cells by row and column.
func readGolden(t *testing.T) (cells [][]float64) {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	rows := goldenRows()
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[2:] {
		var r [3]float64
		row := make([]float64, len(goldenKinds))
		into := []any{&r[0], &r[1], &r[2]}
		for i := range row {
			into = append(into, &row[i])
		}
		if _, err := fmt.Sscan(line, into...); err != nil {
			t.Fatalf("%s: %q: %v", goldenFile, line, err)
		}
		cells = append(cells, row)
	}
	if len(cells) != len(rows) {
		t.Fatalf("%s has %d rows, not %d: write it anew with -update", goldenFile, len(cells), len(rows))
	}
	return cells
}
