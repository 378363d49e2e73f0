package cpucheck

import (
	"bytes"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBPFIsExactWhereTicksAreBlind(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for BPF")
	}
	c := Config{Window: 400 * time.Millisecond, Loads: []float64{0.3}}
	var called int
	r, err := Run(t.Context(), c, func(done, total int, what string) {
		if done != called || total != 5 || what == "" {
			t.Errorf("progress(%d, %d, %q) after %d calls", done, total, what, called)
		}
		called++
	})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
	if len(r.Cases) != 5 || called != 5 {
		t.Fatalf("%d cases, %d calls of progress, want 5", len(r.Cases), called)
	}
	var spread [2]float64 // of proc-stat's figures
	judged := 0
	spread[0] = 1
	for _, c := range r.Cases {
		if c.Disturbed != "" {
			continue
		}
		judged++
		for _, f := range c.Figures {
			switch f.Source {
			case cpu.SourceBPF:
				if math.Abs(f.ErrorPoints) > 1 {
					t.Errorf("%s: bpf is wrong by %.2f points", c.String(), f.ErrorPoints)
				}
			case cpu.SourceProcStat:
				spread[0], spread[1] = min(spread[0], f.Utilization), max(spread[1], f.Utilization)
			}
		}
		if c.ClosureError == nil || *c.ClosureError > 0.005 {
			t.Errorf("%s: closure %v", c.String(), c.ClosureError)
		}
	}
	if judged < 3 {
		t.Skipf("the machine is too busy: only %d of 5 cases can be judged", judged)
	}
	if judged == 5 && spread[1]-spread[0] < 0.1 {
		t.Logf("ticks saw the same load as %.2f to %.2f: this kernel does not account by tick", spread[0], spread[1])
	}
}
