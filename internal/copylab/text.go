package copylab

import (
	"bufio"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// WriteText prints the report for a terminal: the verdicts first, then the tables.
func WriteText(w io.Writer, r Report) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "Copy and checksum on CPU %d: %s\n", r.CPU, r.Machine.Model)
	fmt.Fprintf(b, "%s; %s", r.Machine.Features, r.Machine.Go)
	for _, c := range r.Machine.Caches {
		fmt.Fprintf(b, "; L%d %s", c.Level, unit.Size(c.Bytes))
	}
	fmt.Fprintf(b, "\nTime stamp counter %.1f MHz (calibrations differ by %.3f %%)", r.Clock.TicksPerSecond/1e6, 100*r.Clock.Spread)
	if r.Core.Known {
		fmt.Fprintf(b, "; core clock %.0f MHz (%.0f to %.0f over %d samples)", r.Core.MedianHertz/1e6, r.Core.MinHertz/1e6, r.Core.MaxHertz/1e6, r.Core.Samples)
	}
	fmt.Fprintf(b, "\nTimer %.0f cycles (taken off single shots), call %.0f cycles (part of every loop but Go's copy); CPU share %.1f %%, stolen %.2f s, median spread %.0f %%\n",
		r.Costs.Timer, r.Costs.Call, 100*r.Contention.CPUShare, r.Contention.StealSeconds, 100*r.Contention.Spread)
	textVerdicts(b, r)
	for _, x := range r.Warnings {
		fmt.Fprintf(b, "\nwarning: %s (%s)\n", x.Text, x.Code)
	}
	textTable5(b, r)
	textTable6(b, r)
	textWhere(b, r)
	textRoof(b, r)
	textStates(b, r)
	textLong(b, r)
	textBest(b, r)
	return b.Flush()
}

// WriteSummary prints the verdicts alone.
func WriteSummary(w io.Writer, r Report) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "Copy and checksum on CPU %d: %s\n", r.CPU, r.Machine.Model)
	textVerdicts(b, r)
	return b.Flush()
}

func textVerdicts(w io.Writer, r Report) {
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "\n* %s\n", v.Text)
	}
}

// table starts an aligned table with a title.
func table(w io.Writer, title string) *tabwriter.Writer {
	fmt.Fprintf(w, "\n%s\n", title)
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func label(method, paper string) string {
	if paper != "" {
		return method + " [" + paper + "]"
	}
	return method
}

func textTable5(w io.Writer, r Report) {
	if len(r.Table5) == 0 {
		return
	}
	t := table(w, "Table 5. 1448 million bytes in copies of 1448, hot (aligned: 8-byte YES, 4-byte 4, neither NO)")
	fmt.Fprintln(t, "method\ttime (s)\tspread\tMB/s\troofline\tdst address\tsrc address\taligned\t")
	for _, x := range r.Table5 {
		fmt.Fprintf(t, "%s\t%.4f\t%.0f %%\t%.0f\t%.0f\t%x\t%x\t%s\t\n", label(x.Method, x.PaperLabel), x.Seconds, 100*x.Spread, x.MBytes, x.RoofMBytes, x.Dst, x.Src, x.Aligned)
	}
	_ = t.Flush()
}

func textTable6(w io.Writer, r Report) {
	if len(r.Table6) == 0 {
		return
	}
	t := table(w, "Table 6. Core cycles to copy 1448 bytes once (source hot in L1, or a random packet in memory)")
	fmt.Fprintln(t, "method\tsource\taligned\tp10\tp50\tp90\tin a loop\t")
	for _, x := range r.Table6 {
		loop := "-"
		if x.LoopP50 > 0 {
			loop = fmt.Sprintf("%.0f", x.LoopP50)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t\n", label(x.Method, x.PaperLabel), x.State, x.Aligned, x.P10, x.P50, x.P90, loop)
	}
	_ = t.Flush()
}

func textWhere(w io.Writer, r Report) {
	if len(r.Where) == 0 {
		return
	}
	t := table(w, fmt.Sprintf("Where to checksum (section 2.3): cycles a packet of %d bytes, CPU A is %d and B is %d", packet, r.Peer, r.CPU))
	fmt.Fprintln(t, "packets arrive\tway\ton A\ton B\ttotal\tp10\tp90\t")
	for _, x := range r.Where {
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", x.Arrival, x.Way, x.OnA, x.OnB, x.Total, x.P10, x.P90)
	}
	_ = t.Flush()
}

func textRoof(w io.Writer, r Report) {
	if len(r.Roof) == 0 {
		return
	}
	t := table(w, "Roofline: bytes a core cycle, loads alone and stores alone")
	fmt.Fprintln(t, "level\tread\twrite\t")
	for _, x := range r.Roof {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t\n", x.Level, x.Read, x.Write)
	}
	_ = t.Flush()
}

func textStates(w io.Writer, r Report) {
	rows := stateRows(r)
	if len(rows) == 0 {
		return
	}
	t := table(w, fmt.Sprintf("Core cycles for %d bytes, source at +2, by where the source is (times the roofline)", packet))
	fmt.Fprint(t, "method\t")
	for _, c := range rows[0].Cells {
		fmt.Fprintf(t, "%s\t", c.State)
	}
	fmt.Fprintln(t)
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t", row.Method)
		for _, c := range row.Cells {
			fmt.Fprintf(t, "%s\t", figure(c.Cell))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}

func figure(c *Cell) string {
	switch {
	case c == nil:
		return "-"
	case c.ToRoof > 0:
		return fmt.Sprintf("%.0f (%.1f)", c.P50, c.ToRoof)
	}
	return fmt.Sprintf("%.0f", c.P50)
}

func textLong(w io.Writer, r Report) {
	var names []string
	var sizes []int
	for _, c := range r.Cells {
		if c.Part != "long" || c.Src != 2 {
			continue
		}
		if len(names) == 0 || len(sizes) == 1 && c.Bytes == sizes[0] {
			names = append(names, c.Method)
		}
		if len(sizes) == 0 || sizes[len(sizes)-1] != c.Bytes {
			sizes = append(sizes, c.Bytes)
		}
	}
	if len(names) == 0 {
		return
	}
	t := table(w, "Long copies, source at +2: bytes a core cycle")
	fmt.Fprint(t, "method\t")
	for _, n := range sizes {
		fmt.Fprintf(t, "%s\t", unit.Size(int64(n)))
	}
	fmt.Fprintln(t)
	for _, name := range names {
		fmt.Fprintf(t, "%s\t", name)
		for _, n := range sizes {
			if c := r.cell("long", name, n, 2, 0, Long); c != nil {
				fmt.Fprintf(t, "%.1f\t", float64(n)/c.P50)
			} else {
				fmt.Fprint(t, "-\t")
			}
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}

func textBest(w io.Writer, r Report) {
	if len(r.Best) == 0 {
		return
	}
	fmt.Fprint(w, "\nWhat memcopy picks here, and why\n")
	for _, c := range r.Best {
		fmt.Fprintf(w, "  %s from %s: %s: %s\n", c.Family, unit.Size(int64(c.Bytes)), c.Name, c.Why)
	}
	for _, x := range r.Routines {
		if !x.Available {
			fmt.Fprintf(w, "  not here: %s\n", x.Reason)
		}
	}
}
