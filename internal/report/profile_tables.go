package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// How many lines the tables of a profile have; the files have all.
const (
	topFunctions = 25
	topFlows     = 12
	topLocks     = 12
)

// profileTable is a table of a profile, for a terminal and for a page.
type profileTable struct {
	Name, Title string
	Left        int // columns that are names
	Head        []string
	Rows        [][]string
	Notes       []string
	// Bars are shares (0..1) by row, for a page; nil for none.
	Bars []float64
}

func (t *profileTable) row(cells ...string) { t.Rows = append(t.Rows, cells) }

func (t *profileTable) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// profileTables are all tables of a profile, without those that would be empty.
func profileTables(x *profile.Profile) []*profileTable {
	out := []*profileTable{passTable(x)}
	if x.Sampling != nil {
		out = append(out, stageTable(x.Sampling), functionTable(x.Sampling))
	}
	for i := range x.Events {
		out = append(out, eventTable(&x.Events[i]))
	}
	out = append(out, countTable(x), flowTable(x), lockTable(x))
	return slices.DeleteFunc(out, func(t *profileTable) bool { return t == nil || len(t.Rows)+len(t.Notes) == 0 })
}

func passTable(x *profile.Profile) *profileTable {
	t := &profileTable{Name: "passes", Title: "each with slices of its own; what it costs, against the slices with nothing on", Left: 1}
	t.Head = []string{"pass", "slices", "time", "IP received", "throughput", "change", "95 % interval"}
	for _, s := range x.Passes {
		change, interval := "", ""
		if s.Gain != nil {
			change, interval = unit.Change(s.Gain.Value), changeInterval(s.Gain)
		}
		t.row(s.Name, fmt.Sprint(s.Slices), unit.Seconds(s.Seconds), fmt.Sprintf("%.0f MB", float64(s.Bytes)/1e6), unit.BitRate(s.ThroughputBitsPerSecond), change, interval)
	}
	return t
}

// changeInterval is an interval of a relative change, with its confidence where that
// is not the usual one.
func changeInterval(c *stats.Comparison) string {
	s := fmt.Sprintf("%+.1f to %+.1f %%", 100*c.Lo, 100*c.Hi)
	if c.Confidence < stats.DefaultConfidence {
		s += fmt.Sprintf(" (%.0f %%)", 100*c.Confidence)
	}
	return s
}

func stageTable(s *profile.Sampling) *profileTable {
	t := &profileTable{Name: "where", Title: "CPU time by stage of the stack; idle is exact, not sampled", Left: 1}
	t.Head = []string{"stage", "of busy", "of all", "ns/kB"}
	for _, c := range s.CPU.PerCPU {
		t.Head = append(t.Head, fmt.Sprintf("CPU %d", c.CPU))
	}
	busy, idle := s.BusySeconds(), s.IdleSeconds()
	add := func(name string, seconds float64, ofBusy string, on func(cpu int) float64) {
		cells := []string{name, ofBusy, unit.Percent(seconds / (busy + idle)), nsPerKB(s, seconds)}
		for _, c := range s.CPU.PerCPU {
			cells = append(cells, unit.Percent(on(c.CPU)/(profile.Busy(c)+c.Idle+c.IOWait)))
		}
		t.row(cells...)
		t.Bars = append(t.Bars, seconds/(busy+idle))
	}
	for _, part := range s.ByStage() {
		add(stageTitle(part.Stage), part.Seconds, unit.Percent(part.Seconds/busy), func(cpu int) float64 { return part.PerCPU[cpu] })
	}
	add("idle (halted)", idle, "", func(cpu int) float64 {
		i := slices.IndexFunc(s.CPU.PerCPU, func(c trial.CPUTime) bool { return c.CPU == cpu })
		return s.CPU.PerCPU[i].Idle + s.CPU.PerCPU[i].IOWait
	})
	var contexts, commands []string
	for _, c := range s.ByContext() {
		contexts = append(contexts, fmt.Sprintf("%s %.1f %%", strings.ReplaceAll(c.Name, "-", " "), 100*c.Seconds/busy))
	}
	for _, c := range s.ByCommand() {
		if len(commands) < 6 && c.Seconds > 0.01*busy {
			commands = append(commands, fmt.Sprintf("%s %.1f %%", c.Name, 100*c.Seconds/busy))
		}
	}
	t.note("ran in: %s", strings.Join(contexts, ", "))
	t.note("over: %s", strings.Join(commands, ", "))
	t.note("%d samples at %d Hz a CPU (%d in the kernel: skid %s, other %s), %d of idle left out, %d lost; CPU time from %s, sum over classes %.2f %% of wall",
		s.Samples, s.Frequency, s.Kernel, share(s.Skid, s.Kernel), share(s.Other, s.Kernel), s.Idle, s.Lost, s.CPU.Source, 100*s.CPU.Closure)
	return t
}

func stageTitle(s stage.Stage) string {
	for _, i := range stage.Stages() {
		if i.Stage == s {
			return i.Title
		}
	}
	return string(s)
}

func share(n, of int) string {
	if of == 0 {
		return "none"
	}
	return unit.Percent(float64(n) / float64(of))
}

func nsPerKB(s *profile.Sampling, seconds float64) string {
	if s.Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", s.PerKilobyte(seconds))
}

func functionTable(s *profile.Sampling) *profileTable {
	t := &profileTable{Name: "functions", Title: fmt.Sprintf("the first %d by their own time", topFunctions), Left: 1}
	t.Head = []string{"function", "own", "with callees", "ns/kB", "stage"}
	busy, parts := s.BusySeconds(), s.ByFunction()
	for _, f := range parts[:min(topFunctions, len(parts))] {
		if f.Samples > 0 {
			t.row(cut(f.Name, 40), unit.Percent(f.Seconds/busy), unit.Percent(f.Total/busy), nsPerKB(s, f.Seconds), string(f.Stage))
		}
	}
	return t
}

// topEvents is how many functions each hardware event has.
const topEvents = 12

func eventTable(e *profile.EventSampling) *profileTable {
	t := &profileTable{Name: e.Event.Name, Title: e.Event.Title, Left: 1}
	t.Head = []string{"function", "samples", "share", "per kB", "stage"}
	parts := e.ByFunction()
	for _, f := range parts[:min(topEvents, len(parts))] {
		if f.Samples > 0 {
			t.row(cut(f.Name, 40), fmt.Sprint(f.Samples), share(f.Samples, e.Samples), ratio(e.EventsPerKilobyte(f.Seconds)), string(f.Stage))
		}
	}
	t.note("%d samples of %d events each, %d of idle left out, %d lost (%s; %s)", e.Samples, e.Period, e.Idle, e.Lost, e.Event.Terms, e.Event.Source)
	return t
}

func countTable(x *profile.Profile) *profileTable {
	t := &profileTable{Name: "counts", Title: "annotated tree, as Tables 7 to 10: times, per frame in, per packet handed up, per MB", Left: 1}
	t.Head = []string{"event", "times", "per frame", "per packet", "per MB", "pass"}
	for _, r := range x.CountTree() {
		if r.Count > 0 {
			t.row(strings.Repeat(". ", r.Depth)+r.Name, fmt.Sprint(r.Count), ratio(r.PerFrame), ratio(r.PerPacket), ratio(r.PerMB), r.Pass)
		}
	}
	for _, c := range []*profile.Counted{x.Light, x.Frame} {
		if c == nil {
			continue
		}
		for _, a := range c.Agree {
			t.note("%s: counted %d, the kernel %d ± %d (%s)", a.What, a.Counted, a.Kernel, a.Slack, a.Source)
		}
	}
	return t
}

func ratio(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

func flowTable(x *profile.Profile) *profileTable {
	t := &profileTable{Name: "locality", Title: "of each flow: on which CPU its softirq ran, and on which its reader", Left: 2}
	t.Head = []string{"reader", "from", "MB", "softirq>reader", "apart", "far buffers", "moved", "far wake-ups"}
	var all, cross uint64
	for _, f := range x.Flows {
		all += f.Bytes
		cross += f.CrossBytes
	}
	for _, f := range x.Flows[:min(topFlows, len(x.Flows))] {
		var pairs []string
		for _, c := range f.Pairs[:min(2, len(f.Pairs))] {
			from := fmt.Sprint(c.SoftIRQ)
			if c.SoftIRQ < 0 {
				from = "?"
			}
			pairs = append(pairs, fmt.Sprintf("%s>%d %.0f%%", from, c.Reader, 100*float64(c.Bytes)/float64(max(f.Bytes, 1))))
		}
		t.row(f.Comm, fmt.Sprintf("%s %s", f.Protocol, f.Peer), fmt.Sprintf("%.1f", float64(f.Bytes)/1e6), strings.Join(pairs, " "),
			fraction(f.CrossBytes, f.Bytes), fraction(f.CopiedRemote, f.Copied), fmt.Sprint(f.Migrations), fraction(f.RemoteWakeups, f.Wakeups))
	}
	if all > 0 {
		t.note("apart: bytes whose softirq ran on another CPU than their reader; far buffers: bytes copied out of buffers that another CPU had allocated; moved: changes of the reader's CPU; far wake-ups: of the reading process by another CPU")
		t.note("all flows: %s of %.0f MB were received by softirqs on another CPU than their reader's", fraction(cross, all), float64(all)/1e6)
	}
	return t
}

func fraction(n, of uint64) string {
	if of == 0 {
		return ""
	}
	return unit.Percent(float64(n) / float64(of))
}

func lockTable(x *profile.Profile) *profileTable {
	i := slices.IndexFunc(x.Passes, func(s profile.Pass) bool { return s.Name == profile.PassLock })
	if i < 0 {
		return nil
	}
	t := &profileTable{Name: "locks", Title: "waits by the function that took the lock and its caller", Left: 2}
	t.Head = []string{"taken by", "for", "kind", "waits", "total", "longest", "of a CPU"}
	for _, s := range x.Locks[:min(topLocks, len(x.Locks))] {
		t.row(cut(s.Function, 24), cut(s.Caller, 28), s.Kind, fmt.Sprint(s.Count), unit.Seconds(s.Total.Seconds()),
			unit.Seconds(s.Longest.Seconds()), unit.Percent(s.Total.Seconds()/x.Passes[i].Seconds))
	}
	if len(x.Locks) == 0 {
		t.note("no lock was waited for")
	}
	return t
}
