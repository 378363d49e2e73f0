package cpu

import (
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

func open(t testing.TB, want string) *Probe {
	t.Helper()
	p, _, err := Open(t.Context(), Options{Want: want})
	var u Unavailable
	if errors.As(err, &u) {
		t.Skip(u)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func mark(t testing.TB, p *Probe) Mark {
	t.Helper()
	m, err := p.Mark()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func seconds(c trial.CPUTime) float64 {
	return c.User + c.System + c.SoftIRQ + c.IRQ + c.Idle + c.IdleBusy + c.IOWait + c.Steal
}

func TestBPFAgreesWithAKnownBurner(t *testing.T) {
	p := open(t, SourceBPF)
	// Few bursts: the scheduler's clock starts a task's turn at its wake-up, so that
	// each wake-up from idle adds the way out of idle to the process's clock.
	pid := burner(t, 31*time.Millisecond, 103*time.Millisecond, 0)
	groups := func(n int, _ string, _ bool) string {
		switch n {
		case pid:
			return "server"
		case os.Getpid():
			return "tool"
		}
		return ""
	}
	truth := -cpuClock(t, pid)
	a := mark(t, p)
	time.Sleep(time.Second)
	truth += cpuClock(t, pid)
	b := mark(t, p)

	c, warnings, err := Usage(a, b, groups)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v\nwarnings %v", c, warnings)
	// rounding of the clock's two readings and a switch; a point of a CPU is 10 ms
	if got := c.Groups["server"]; math.Abs(got-truth) > 0.01*c.WindowSeconds {
		t.Errorf("the burner used %.4f s, attributed %.4f", truth, got)
	}
	if c.ClosureError > 0.005 {
		t.Errorf("closure error %.4f", c.ClosureError)
	}
	if !c.Exact || c.Source != SourceBPF || c.Online != len(c.PerCPU) {
		t.Errorf("source %q exact %v, %d CPUs of %d", c.Source, c.Exact, c.Online, len(c.PerCPU))
	}
	for _, x := range c.PerCPU {
		if s := seconds(x); math.Abs(s/c.WindowSeconds-1) > 0.001 {
			t.Errorf("CPU %d: classes sum to %.5f s of %.5f", x.CPU, s, c.WindowSeconds)
		}
	}
	var grouped float64
	for _, s := range c.Groups {
		grouped += s
	}
	if busy := c.Utilization * c.WindowSeconds * float64(c.Online); math.Abs(grouped-busy) > 0.01 {
		t.Errorf("groups sum to %.4f s, busy is %.4f s", grouped, busy)
	}
	if c.TaskUtilization > c.Utilization {
		t.Errorf("not idle task %.4f above not halted %.4f", c.TaskUtilization, c.Utilization)
	}
	for _, proc := range Processes(a, b) {
		if proc.PID == pid && proc.Comm == "" {
			t.Error("the burner has no name")
		}
	}
}

func TestMarkIsCheap(t *testing.T) {
	for _, source := range []string{SourceBPF, SourceProcStatIdle} {
		t.Run(source, func(t *testing.T) {
			p := open(t, source)
			best := time.Hour
			for range 20 {
				start := time.Now()
				mark(t, p)
				best = min(best, time.Since(start))
			}
			t.Logf("best of 20: %v", best)
			limit := time.Millisecond
			if source != SourceBPF {
				limit = 20 * time.Millisecond // walks every thread of the machine
			}
			if best > limit {
				t.Errorf("a mark takes %v, want under %v", best, limit)
			}
		})
	}
}
