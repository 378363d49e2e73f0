package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// TestPairsReport wants the matrix in text and page, with what the CPUs share, and no shades
// where nothing can be told apart.
func TestPairsReport(t *testing.T) {
	for _, flat := range []bool{false, true} {
		trials := synthetic.Pairs(synthetic.Options{Seed: 5}, 8, flat)
		if flat {
			trials = synthetic.Pairs(synthetic.Options{Seed: 5, Noise: 0.2}, 2, flat)
		}
		d := writeTrials(t, "cpu-pairs", synthetic.PairsPlan, trials, len(trials))
		if err := SaveTopo(d.Path, twoPackages()); err != nil {
			t.Fatal(err)
		}
		var text, page bytes.Buffer
		if err := Text(&text, d, TextOptions{Width: 100}); err != nil {
			t.Fatal(err)
		}
		if err := HTML(&page, d); err != nil {
			t.Fatal(err)
		}
		if flat {
			if !strings.Contains(text.String(), "No difference seen between any two pairs") || strings.Contains(page.String(), `class="heat h5"`) {
				t.Errorf("equal pairs are told apart:\n%s", text.String())
			}
			continue
		}
		for _, want := range []string{"Interrupts", "CPU 7", "Interrupts and process on one CPU give more than on two"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the text does not say %q", want)
			}
		}
		for _, want := range []string{`class="heat h0"`, `class="heat h5"`, "same CPU", "same L3 cache", "other package", "▲", "▼"} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("the page does not have %q", want)
			}
		}
	}
}

// TestCapturedPairs reports `stackmeter study cpu-pairs` as it was measured on a virtual machine
// with 2 CPUs, 2026-11-23.
func TestCapturedPairs(t *testing.T) {
	d, err := result.Open("testdata/cpu-pairs")
	if err != nil {
		t.Fatal(err)
	}
	var text, page bytes.Buffer
	if err := Text(&text, d, TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := HTML(&page, d); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "Interrupts and process on one CPU give more than on two: +10.5 % [+4.8, +13.3], p=0.031.") {
		t.Errorf("the finding is not told:\n%.2000s", text.String())
	}
	if n := strings.Count(page.String(), "same L3 cache"); n < 4 {
		t.Errorf("%d cells of two metrics say what their CPUs share", n)
	}
}

func twoPackages() *topo.Machine {
	m := &topo.Machine{Schema: topo.SchemaVersion}
	for cpu := range 8 {
		m.CPUs = append(m.CPUs, topo.CPU{CPU: cpu, Package: cpu / 4, Core: cpu % 4, Node: cpu / 4, Siblings: []int{cpu}})
	}
	for p := range 2 {
		m.Caches = append(m.Caches, topo.Cache{Level: 3, Type: "Unified", CPUs: []int{4 * p, 4*p + 1, 4*p + 2, 4*p + 3}})
	}
	return m
}
