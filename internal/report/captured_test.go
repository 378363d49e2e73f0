package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/result"
)

// TestCapturedStudy reports a study that was measured: `stackmeter study
// affinity` on a virtual machine with 2 CPUs, 2026-11-22 (names of processes that
// were no part of it replaced). It is the paper's finding on a kernel of today, and
// must be told as that.
func TestCapturedStudy(t *testing.T) {
	d, err := result.Open("testdata/affinity")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Trials) != 72 || len(d.Notes) != 0 {
		t.Fatalf("%d trials, notes %v", len(d.Trials), d.Notes)
	}
	var text, page bytes.Buffer
	if err := Text(&text, d, TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := HTML(&page, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"BOTH gains more than IRQ plus PROCESS (+20.4 points, interval +16.9 to +25.7, p<0.001)",
		"BOTH against none: +17.5 % [+9.1, +22.1]",
		"no diff. seen", // IRQ alone
		"irq-affinity by threaded-napi",
		"scatter by sched_setaffinity",
		"cpu model: AMD EPYC",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q", want)
		}
	}
	if strings.Contains(text.String(), "-0.00") {
		t.Error("a negative zero")
	}
	if !strings.Contains(page.String(), "20.42") {
		t.Error("the page lacks the interaction")
	}
}
