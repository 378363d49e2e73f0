package report

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/stats"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// interruptRow is how the server's NICs of a cell interrupted: medians of the trials, of each NIC
// that carried flows.
type interruptRow struct {
	Name    string
	Rate    string // interrupts of a NIC
	Frames  string // of an interrupt
	Joined  string // frames of a packet that the kernel got
	Dropped string // of the frames that came over the cable
}

// interruptRows are an experiment's cells on a rig that counts interrupts, see package wire; of
// others, none.
func interruptRows(d *result.Dir, e *analysis.Experiment) []interruptRow {
	var out []interruptRow
	for _, c := range e.Cells {
		var rate, frames, joined, dropped []float64
		for i := range d.Trials {
			t := &d.Trials[i]
			if t.Status != trial.OK || t.Experiment != e.Name || trial.Cell(t.Levels) != c.Key {
				continue
			}
			n := func(what string) float64 { return float64(sumOf(t.Counters, what)) }
			if n(".interrupts") == 0 || n(".ring_packets") == 0 || n(".wire_frames") == 0 || t.WindowSeconds <= 0 {
				continue
			}
			rate = append(rate, n(".interrupts")/t.WindowSeconds/float64(nicsOf(t)))
			frames = append(frames, n(".ring_frames")/n(".interrupts"))
			joined = append(joined, n(".ring_frames")/n(".ring_packets"))
			dropped = append(dropped, n(".ring_dropped")/n(".wire_frames"))
		}
		if len(rate) == 0 {
			continue
		}
		out = append(out, interruptRow{
			cellName(e, c.Levels), unit.Rate(median(rate)), fmt.Sprintf("%.1f", median(frames)), fmt.Sprintf("%.1f", median(joined)), unit.Percent(median(dropped)),
		})
	}
	return out
}

// sumOf adds a counter of the server's NICs up.
func sumOf(counters map[string]uint64, suffix string) (sum uint64) {
	for name, n := range counters {
		if strings.HasPrefix(name, "server.") && strings.HasSuffix(name, suffix) {
			sum += n
		}
	}
	return sum
}

func nicsOf(t *trial.Trial) int {
	seen := map[int]bool{}
	for _, f := range t.Flows {
		seen[f.NIC] = true
	}
	return max(1, len(seen))
}

func median(xs []float64) float64 {
	m, err := stats.Median(xs, stats.DefaultConfidence)
	if err != nil {
		return 0 // of nothing, which there is not
	}
	return m.Value
}

func (p *printer) interrupts(rows []interruptRow) {
	if len(rows) == 0 {
		return
	}
	p.print("\n")
	p.line("  Interrupts of the server's NICs: medians of the replicates", dim)
	t := &table{left: 1}
	t.head("Cell", "a NIC", "frames each", "frames a packet", "dropped")
	for _, r := range rows {
		t.row(textCell{text: r.Name}, textCell{text: r.Rate}, textCell{text: r.Frames}, textCell{text: r.Joined}, textCell{text: r.Dropped})
	}
	p.table(t)
}
