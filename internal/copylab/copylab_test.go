package copylab

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/memcopy"
)

// measured is one quick run, shared by the tests of what is made of it.
func measured(t *testing.T) Report {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("pins threads as Linux does")
	}
	before, err := sysx.Affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	var last [2]int
	r, err := Run(context.Background(), Config{Auto: true, Quick: true, Force: true}, func(done, total int, _ string) { last = [2]int{done, total} })
	if err != nil {
		t.Fatal(err)
	}
	if last[0] != last[1] {
		t.Errorf("progress ended at %d of %d", last[0], last[1])
	}
	if after, err := sysx.Affinity(0); err != nil || len(after) != len(before) {
		t.Errorf("affinity was %v and is %v after the run (%v)", before, after, err)
	}
	return r
}

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for two seconds: not with -short")
	}
	r := measured(t)
	t.Run("figures", func(t *testing.T) { checkFigures(t, r) })
	t.Run("exports", func(t *testing.T) { checkExports(t, r) })
}

// checkFigures holds the figures against what must be so on any machine.
func checkFigures(t *testing.T, r Report) {
	if len(r.Table5) == 0 || len(r.Table5) != len(r.Table6)/2 {
		t.Fatalf("Table 5 has %d lines, Table 6 %d", len(r.Table5), len(r.Table6))
	}
	for _, c := range r.Cells {
		if !(c.P50 > 0 && c.P10 <= c.P50 && c.P50 <= c.P90) || c.ToBest < 0.999 || c.Nanoseconds < 0 {
			t.Fatalf("impossible figure: %+v", c)
		}
	}
	ref, best := r.cell("offsets", "sum-ref16", 16384, 0, 0, HotL1), r.cell("offsets", bestSum, 16384, 0, 0, HotL1)
	if ref == nil || best == nil || ref.P50 < 3*best.P50 {
		t.Errorf("the best checksum is not three times as fast as the reference: %+v, %+v", best, ref)
	}
	small, large := r.cell("offsets", "memmove", 64, 0, 0, HotL1), r.cell("offsets", "memmove", 16384, 0, 0, HotL1)
	if small == nil || large == nil || large.P50 < 4*small.P50 {
		t.Errorf("copying 16 KiB takes %+v, 64 bytes %+v", large, small)
	}
	for _, row := range r.Table5 {
		off := row.Src % 64
		if want := map[uint64]string{0: "YES", 4: "4", 2: "NO"}[off]; row.Aligned != want {
			t.Errorf("source address %x is called aligned %s", row.Src, row.Aligned)
		}
	}
	if len(r.Verdicts) < 4 || len(r.Routines) != len(memcopy.Routines()) {
		t.Errorf("%d verdicts, %d routines", len(r.Verdicts), len(r.Routines))
	}
}

func checkExports(t *testing.T, r Report) {
	var text, table, bench, page bytes.Buffer
	for name, err := range map[string]error{"text": WriteText(&text, r), "csv": WriteCSV(&table, r), "bench": WriteBench(&bench, r), "html": HTMLSection(&page, r)} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, want := range []string{"Table 5.", "[MOVSD]", "Table 6.", "Roofline", "in 2002", "rep-movsq"} {
		if !strings.Contains(strings.ToLower(text.String()), strings.ToLower(want)) {
			t.Errorf("text lacks %q", want)
		}
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 1+len(r.Cells)+len(r.Where) {
		t.Errorf("CSV: %d lines for %d figures, %v", len(rows), len(r.Cells)+len(r.Where), err)
	}
	n := 0
	for reader := benchfmt.NewReader(&bench, "bench"); reader.Scan(); {
		switch rec := reader.Result().(type) {
		case *benchfmt.Result:
			n++
		case *benchfmt.SyntaxError:
			t.Fatal(rec)
		}
	}
	if n != len(r.Cells)+len(r.Where) {
		t.Errorf("benchmark format: %d results for %d figures", n, len(r.Cells)+len(r.Where))
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || len(back.Cells) != len(r.Cells) {
		t.Errorf("JSON does not come back: %v", err)
	}
	if !strings.HasPrefix(page.String(), "<section") || strings.Count(page.String(), "<svg") < 2 {
		t.Errorf("HTML is no section with figures: %.80s", page.String())
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Config{Auto: true, Quick: true, Force: true}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run returned %v", err)
	}
}

func TestImpossibleCPU(t *testing.T) {
	if _, err := Run(context.Background(), Config{CPU: 4096, Peer: 4096}, nil); err == nil || !strings.Contains(err.Error(), "CPU 4096") {
		t.Errorf("a run on a CPU that is not there returned %v", err)
	}
}

// TestContended measures on a CPU that two other threads want too.
func TestContended(t *testing.T) {
	if testing.Short() {
		t.Skip("keeps a CPU busy for seconds: not with -short")
	}
	cpus, err := sysx.Affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var hogs sync.WaitGroup
	for range 2 {
		hogs.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its affinity
			if err := sysx.SetAffinity(0, cpus[:1]); err != nil {
				t.Error(err)
			}
			for !stop.Load() {
			}
		})
	}
	defer hogs.Wait()
	defer stop.Store(true)
	r, err := Run(context.Background(), Config{CPU: cpus[0], Peer: cpus[0], Quick: true}, nil)
	if !errors.Is(err, ErrContended) && !errors.Is(err, cycles.ErrUnsteady) {
		t.Errorf("a run with %.0f %% of its CPU was accepted: %v", 100*r.Contention.CPUShare, err)
	}
}
