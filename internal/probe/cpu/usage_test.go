package cpu

import (
	"math"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/probe/cpu/bpf"
	"github.com/stackmeter/stackmeter/internal/trial"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func codes(ws []trial.Warning) string {
	var list []string
	for _, w := range ws {
		list = append(list, w.Code)
	}
	return strings.Join(list, " ")
}

func TestStealIsTakenFromBusyAndHaltedInProportion(t *testing.T) {
	var d [bpf.Classes]float64
	d[bpf.Task], d[bpf.SoftIRQ], d[bpf.Halted] = 0.6, 0.2, 0.2
	c, f := classes(0, d, 0, Ticks{User: 1, System: 3, Steal: 0.1}, Ticks{})
	if !near(f, 0.9) || !near(c.Steal, 0.1) || !near(c.SoftIRQ, 0.18) || !near(c.User+c.System, 0.54) || !near(c.Idle, 0.18) {
		t.Errorf("scale %g, %+v", f, c)
	}
	if !near(seconds(c), 1) {
		t.Errorf("classes sum to %g, want 1", seconds(c))
	}
	if !near(c.User, 0.135) {
		t.Errorf("user %g, want a quarter of the task time by tick", c.User)
	}
}

func TestSplitTask(t *testing.T) {
	for _, c := range []struct {
		name          string
		task, kthread float64
		own, all      Ticks
		user, system  float64
	}{
		{"by own ticks", 1, 0, Ticks{User: 1, Nice: 2, System: 1}, Ticks{}, 0.75, 0.25},
		{"kernel threads are system", 1, 0.5, Ticks{User: 0.5, System: 0.5}, Ticks{}, 0.5, 0.5},
		{"no tick here: the machine's", 1, 0, Ticks{}, Ticks{User: 1, System: 3}, 0.25, 0.75},
		{"no tick at all", 1, 0, Ticks{}, Ticks{}, 0, 1},
	} {
		if u, s := splitTask(c.task, c.kthread, c.own, c.all); !near(u, c.user) || !near(s, c.system) {
			t.Errorf("%s: %g and %g, want %g and %g", c.name, u, s, c.user, c.system)
		}
	}
}

// statMark is a mark of a source that reads /proc/stat.
func statMark(source string, at float64, cpus ...Ticks) Mark {
	m := Mark{Time: int64(at * 1e9), source: source, stat: &Stat{CPUs: map[int]Ticks{}}}
	for n, c := range cpus {
		m.stat.CPUs[n] = c
	}
	return m
}

func TestIdleDecidesWhatTicksMisjudge(t *testing.T) {
	// 25 % busy, of which the ticks saw 88 %, as on a load in step with the timer
	a := statMark(SourceProcStatIdle, 1, Ticks{})
	b := statMark(SourceProcStatIdle, 11, Ticks{User: 2.2, System: 6.6, Idle: 7.5})
	c, ws, err := Usage(a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !near(c.Utilization, 0.25) || !c.Exact || !near(c.PerCPU[0].User, 0.625) {
		t.Errorf("%+v", c)
	}
	if !near(c.ClosureError, 0.63) || codes(ws) != "classes-by-tick closure" {
		t.Errorf("closure %g, warnings %q", c.ClosureError, codes(ws))
	}
	a.source, b.source = SourceProcStat, SourceProcStat
	c, _, err = Usage(a, b, nil)
	if err != nil || !near(c.Utilization, 0.88) || c.Exact {
		t.Errorf("by tick: %+v, %v", c, err)
	}
}

func TestUsageRefusesMarksThatDoNotBelongTogether(t *testing.T) {
	a, b := statMark(SourceProcStat, 1, Ticks{}), statMark(SourceProcStatIdle, 2, Ticks{})
	for _, pair := range [][2]Mark{{a, b}, {b, b}, {{}, {}}} {
		if _, _, err := Usage(pair[0], pair[1], nil); err == nil {
			t.Errorf("marks at %d and %d: no error", pair[0].Time, pair[1].Time)
		}
	}
}

func TestStealAndHotplugAreWarnedOf(t *testing.T) {
	a := statMark(SourceProcStatIdle, 0, Ticks{}, Ticks{})
	b := statMark(SourceProcStatIdle, 10, Ticks{User: 5, Idle: 4, Steal: 1})
	c, ws, err := Usage(a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if codes(ws) != "classes-by-tick steal cpus-changed" {
		t.Errorf("warnings %q", codes(ws))
	}
	if !near(c.Utilization, 0.5) || c.Online != 1 {
		t.Errorf("%+v", c)
	}
}
