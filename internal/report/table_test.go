package report

import (
	"strings"
	"testing"
)

// TestTableKeepsIntervalsWithTheirFigures parts a table that is too wide at each width and
// wants no column without heading to begin a part.
func TestTableKeepsIntervalsWithTheirFigures(t *testing.T) {
	tab := &table{left: 1}
	tab.head("Cell", "throughput", "", "scaled", "", "CPU")
	tab.row(textCell{text: "none"}, textCell{text: "6.42 Gb/s"}, textCell{text: "±12.0 %"}, textCell{text: "15.0 Gb/s"}, textCell{text: "±3.3 %"}, textCell{text: "99 %"})
	for width := 30; width < 70; width++ {
		var b strings.Builder
		p := &printer{w: &b, width: width}
		p.table(tab)
		for part := range strings.SplitSeq(strings.TrimSpace(b.String()), "\n\n") {
			lines := strings.Split(part, "\n")
			if first := strings.Fields(lines[len(lines)-1])[1]; strings.HasPrefix(first, "±") {
				t.Errorf("width %d: a part begins with the interval %s:\n%s", width, first, b.String())
			}
		}
		for _, want := range []string{"6.42 Gb/s", "±12.0 %", "15.0 Gb/s", "±3.3 %", "99 %"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("width %d: %s is missing:\n%s", width, want, b.String())
			}
		}
	}
}
