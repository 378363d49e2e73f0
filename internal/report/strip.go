package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

const stripW, stripH = 240.0, 22.0

// strip draws each trial of a cell as a dot from 0 to top, with the median and
// its interval, so that two modes or an outlier are seen.
func strip(d *analysis.Measured, top float64) template.HTML {
	var s svg
	x := func(v float64) float64 { return 4 + (stripW-8)*v/top }
	s.open(stripW, stripH, "strip", "Single trials", fmt.Sprintf("Median %s, from %s to %s",
		unit.BitRate(d.Median.Value), unit.BitRate(slices.Min(d.Values)), unit.BitRate(slices.Max(d.Values))))
	s.line(x(0), stripH/2, x(top), stripH/2, "grid")
	s.rect(x(d.Median.Lo), 3, max(1, x(d.Median.Hi)-x(d.Median.Lo)), stripH-6, "band", "interval "+unit.BitRate(d.Median.Lo)+" to "+unit.BitRate(d.Median.Hi))
	for i, v := range d.Values {
		s.circle(x(v), stripH/2, 3.2, "trial", fmt.Sprintf("replicate %d: %s", d.Replicates[i], unit.BitRate(v)))
	}
	s.line(x(d.Median.Value), 2, x(d.Median.Value), stripH-2, "median")
	return s.close()
}

// groupOrder is the order and the wording of who used the CPUs.
var groupOrder = []struct{ Name, Label string }{
	{"server", "server: its processes and its NICs' receive work"},
	{"client", "client"},
	{"idle-softirq", "softirq and irq over the idle task"},
	{"kernel", "other kernel threads"},
	{"tool", "stackmeter itself"},
	{"stranger", "strangers"},
	{"idle-busy", "idle task, not halted"},
	{"idle", "halted"},
	{"wire", "stands in for the NICs' hardware"},
}

func groupClass(name string) string {
	for i, g := range groupOrder {
		if g.Name == name {
			return fmt.Sprintf("g%d", i)
		}
	}
	return "g3"
}

// cpuBar is a stacked bar of who used the CPUs; "" without attribution.
func cpuBar(groups map[string]float64) template.HTML {
	if len(groups) == 0 {
		return ""
	}
	names := make([]string, 0, len(groups))
	for _, g := range groupOrder {
		if groups[g.Name] > 0 {
			names = append(names, g.Name)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(groups)) {
		if !slices.Contains(names, n) && groups[n] > 0 {
			names = append(names, n)
		}
	}
	var parts []string
	for _, n := range names {
		parts = append(parts, n+" "+unit.Percent(groups[n]))
	}
	var s svg
	s.open(200, 14, "cpubar", "CPU time", strings.Join(parts, ", "))
	x := 0.0
	for _, n := range names {
		w := 200 * groups[n]
		s.rect(x, 0, w, 14, groupClass(n), n+": "+unit.Percent(groups[n])+" of all CPUs' time")
		x += w
	}
	return s.close()
}

// spark draws what each flow received in each interval of the window: a flow
// that stalled or lagged shows.
func spark(t *trial.Trial) template.HTML {
	top, n := uint64(0), 0
	for _, f := range t.Flows {
		n = max(n, len(f.IntervalBytes))
		for _, b := range f.IntervalBytes {
			top = max(top, b)
		}
	}
	if n < 2 || top == 0 {
		return ""
	}
	var s svg
	s.open(120, 22, "spark", "Received by interval", fmt.Sprintf("%d flows over %d intervals", len(t.Flows), n))
	for i, f := range t.Flows {
		var d strings.Builder
		for j, b := range f.IntervalBytes {
			d.WriteString(map[bool]string{true: "M", false: "L"}[j == 0])
			d.WriteString(num(2+116*float64(j)/float64(n-1)) + " " + num(20-18*float64(b)/float64(top)))
		}
		s.path(d.String(), "line "+colorClass(i+1), fmt.Sprintf("flow %d: %s", f.ID, unit.BitRate(f.ThroughputBitsPerSecond)))
	}
	return s.close()
}
