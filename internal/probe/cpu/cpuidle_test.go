package cpu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/probe/cpu/bpf"
)

// haltedByCPUIdle is the time in seconds that a CPU spent in idle states that halt,
// by the kernel's cpuidle (Documentation/admin-guide/pm/cpuidle.rst): to the last
// way out of idle, with the interrupts handled within.
func haltedByCPUIdle(t *testing.T, cpu int) float64 {
	t.Helper()
	states, _ := filepath.Glob(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpuidle/state*", cpu))
	if len(states) == 0 {
		t.Skip("this kernel has no cpuidle")
	}
	var sum float64
	for _, dir := range states {
		name, _ := os.ReadFile(filepath.Join(dir, "name"))
		if strings.TrimSpace(string(name)) == "POLL" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "time"))
		if err != nil {
			t.Fatal(err)
		}
		var us float64
		if _, err := fmt.Sscan(string(b), &us); err != nil {
			t.Fatal(err)
		}
		sum += us / 1e6
	}
	return sum
}

func TestHaltedAgreesWithCPUIdle(t *testing.T) {
	p := open(t, SourceBPF)
	stat, err := readStat("/proc")
	if err != nil {
		t.Fatal(err)
	}
	read := func() (Mark, map[int]float64) {
		m := mark(t, p) // wakes CPUs that have slept for long, so that cpuidle is up to date
		halted := map[int]float64{}
		for _, n := range stat.Online() {
			halted[n] = haltedByCPUIdle(t, n)
		}
		return m, halted
	}
	a, before := read()
	time.Sleep(500 * time.Millisecond)
	b, after := read()
	window := float64(b.Time-a.Time) / 1e9
	for _, n := range stat.Online() {
		d := diff(b.snapshot.CPUs[n].NS, a.snapshot.CPUs[n].NS)
		over := diff(b.snapshot.CPUs[n].OverIdle, a.snapshot.CPUs[n].OverIdle)
		within := over[bpf.IRQ] + over[bpf.SoftIRQ]
		got, want := d[bpf.Halted], after[n]-before[n]
		t.Logf("CPU %d: halted %.4f s, by cpuidle %.4f (with interrupts of %.4f)", n, got, want, within)
		// a reading of cpuidle may be a millisecond of sleep behind at either edge
		if tolerance := 0.01*window + 0.002; got > want+tolerance || got < want-within-tolerance {
			t.Errorf("CPU %d: halted %.4f s of %.4f, cpuidle says %.4f", n, got, window, want)
		}
	}
}
