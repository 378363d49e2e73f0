package copylab

import (
	"strings"
	"testing"
)

// figures builds a report from a few medians.
func figures(cells ...Cell) *Report { return &Report{Cells: cells} }

func at(part, method, family string, n, src int, p50 float64) Cell {
	mode := Loop
	if part == "table6" {
		mode = Single
	}
	return Cell{Part: part, Method: method, Family: family, Bytes: n, Src: src, State: HotL1, Mode: mode, P50: p50}
}

func verdict(r *Report, code string) string {
	for _, v := range verdicts(r) {
		if v.Code == code {
			return v.Text
		}
	}
	return ""
}

// TestGoCopyCliff uses the figures of an Intel Xeon with FSRM (ns at 4 KiB: 24
// aligned, 162 unaligned).
func TestGoCopyCliff(t *testing.T) {
	var cells []Cell
	for _, n := range []int{4096, 8192, 16384} {
		f := float64(n) / 4096
		cells = append(cells, at("offsets", "memmove", "copy", n, 0, 80*f), at("offsets", "memmove", "copy", n, 2, 540*f), at("offsets", bestCopy, "copy", n, 2, 100*f))
	}
	r := figures(cells...)
	r.Machine.Vendor, r.Machine.Features = "GenuineIntel", "AVX2, FSRM"
	if got := verdict(r, "go-copy-cliff"); !strings.Contains(got, "6.8 times") || !strings.Contains(got, "GODEBUG=cpu.fsrm=off") {
		t.Errorf("verdict %q", got)
	}
	for i := range r.Cells {
		r.Cells[i].P50 = 80
	}
	if got := verdict(r, "go-copy-cliff") + verdict(r, "go-copy"); !strings.Contains(got, "does not suffer") {
		t.Errorf("without the fall: %q", got)
	}
}

// TestStringOrInteger uses the paper's own machine: string wins aligned, integer not.
func TestStringOrInteger(t *testing.T) {
	r := figures(
		at("table5", "rep-movsl", "copy", packet, 0, 609), at("table5", "int32", "copy", packet, 0, 898),
		at("table5", "rep-movsl", "copy", packet, 4, 1172), at("table5", "int32", "copy", packet, 4, 851),
		at("table5", "rep-movsl", "copy", packet, 66, 1200), at("table5", "int32", "copy", packet, 66, 860),
	)
	got := verdict(r, "string-or-integer")
	if !strings.Contains(got, "string copy wins by 1.5 with the source at +0") || !strings.Contains(got, "integer copy wins by 1.4 with the source at +4") || !strings.Contains(got, "again by 1.4 with the source at +66") {
		t.Errorf("verdict %q", got)
	}
}

func TestFoldingPaysOrNot(t *testing.T) {
	r := figures(at("offsets", "two-pass", "fused", packet, 2, 100), at("offsets", bestFused, "fused", packet, 2, 51))
	if got := verdict(r, "folding"); !strings.Contains(got, "l1 1.96") || !strings.Contains(got, "pays wherever") {
		t.Errorf("verdict %q", got)
	}
	r.Cells[1].P50 = 99
	if got := verdict(r, "folding"); !strings.Contains(got, "does not pay") {
		t.Errorf("verdict %q", got)
	}
}

func TestSmooth(t *testing.T) {
	v := []float64{26, 52, 26, 26, 52, 26}
	smooth(v, 26)
	for i := range v {
		if i > 0 && v[i] <= v[i-1] || v[i] < 13 || v[i] > 65 {
			t.Fatalf("smoothed to %v", v)
		}
	}
}

func TestParseSteal(t *testing.T) {
	const stat = "cpu  10 0 20 900 1 2 3 77 0 0\ncpu0 5 0 10 450 1 1 1 30 0 0\ncpu1 5 0 10 450 0 1 2 47 0 0\nintr 5\n"
	if got := parseSteal(strings.NewReader(stat), 1); got != 0.47 {
		t.Errorf("CPU 1: %v s, want 0.47", got)
	}
	if got := parseSteal(strings.NewReader(stat), 7); got != 0 {
		t.Errorf("a CPU that is not there: %v s", got)
	}
}

func TestUnsteadyIsSaid(t *testing.T) {
	r := figures()
	for way, total := range map[string]float64{whereSplit: 500, whereTwo: 400, whereFused: 450, whereAhead: 300} {
		r.Where = append(r.Where, WhereRow{Arrival: "dram", Way: way, Total: total, P10: total - 20, P90: total + 20})
	}
	if got := verdict(r, "where-dram"); !strings.Contains(got, "400 with both on B (-20 %)") || strings.Contains(got, "Unsteady") {
		t.Errorf("verdict %q", got)
	}
	for i := range r.Where {
		if r.Where[i].Way == whereTwo {
			r.Where[i].P90 = 900
		}
	}
	if got := verdict(r, "where-dram"); !strings.Contains(got, "Unsteady, do not lean on it: both on B, two passes, 380 to 900.") {
		t.Errorf("verdict %q", got)
	}
}
