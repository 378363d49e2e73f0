package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/result"
)

// TestInterrupts reports a study that was measured on NICs in software: `stackmeter study placement
// --replicates 2 --duration 500ms` on a busy virtual machine with 2 CPUs, 2026-11-23 (names of processes
// that were no part of it replaced, disturbed trials and counts by interval left out).
func TestInterrupts(t *testing.T) {
	d, err := result.Open("testdata/placement")
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
	for _, want := range []string{
		"bus separate  3.92 k/s         11.4              6.3    0.0 %",
		"bus shared    4.07 k/s          5.5              4.1    0.0 %",
		"threads pinned to a CPU each for interrupts",
		"stands in for hardware",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the text does not say %q", want)
		}
	}
	if !strings.Contains(page.String(), "<td>3.92 k/s</td><td>11.4</td><td>6.3</td><td>0.0 %</td>") || !strings.Contains(page.String(), "stands in for the NICs&#39; hardware") {
		t.Error("the page lacks the interrupts, or who stands in")
	}
	veth, err := result.Open("testdata/affinity")
	if err != nil {
		t.Fatal(err)
	}
	text.Reset()
	if err := Text(&text, veth, TextOptions{Width: 100}); err != nil || strings.Contains(text.String(), "Interrupts of") {
		t.Errorf("interrupts of NICs that have none (%v)", err)
	}
}
