package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/stackmeter/stackmeter/meter"
)

// RunCSV writes a row (RFC 4180) for each interval of each window and, after them, one with
// part "total" for the window, under a row of names. What was not measured is empty. Every row
// says whether the run was complete.
func RunCSV(w io.Writer, r *meter.Result) error {
	cw := csv.NewWriter(w)
	head := []string{
		"window", "part", "start_seconds", "seconds", "bits_per_second", "reverse_bits_per_second", "sent_bits_per_second",
		"transactions_per_second", "p50_nanoseconds", "p99_nanoseconds", "p99.9_nanoseconds", "max_nanoseconds", "lost_share",
		"cpu_seconds", "bits_per_second_per_cpu", "service_demand_nanoseconds_per_kibibyte",
	}
	for i := range r.Machines {
		head = append(head, fmt.Sprintf("machine%d_utilization", i+1))
	}
	head = append(head, "hosts", "complete", "error")
	if err := cw.Write(head); err != nil {
		return err
	}
	end := []string{strconv.FormatBool(r.Complete), r.Error}
	for i := range r.Windows {
		win := &r.Windows[i]
		for _, v := range win.Intervals {
			row := []string{
				strconv.Itoa(i + 1), "interval", positive(win.Start + v.Start), positive(v.Seconds), positive(v.BitsPerSecond), measured(v.ReverseBitsPerSecond), "",
				measured(v.TransactionsPerSecond), measured(float64(v.P50)), measured(float64(v.P99)), "", measured(float64(v.Max)), "", "", "", "",
			}
			for m := range r.Machines {
				if m < len(v.Utilization) {
					row = append(row, positive(v.Utilization[m]))
				} else {
					row = append(row, "")
				}
			}
			if err := cw.Write(append(append(row, strconv.Itoa(v.Hosts)), end...)); err != nil {
				return err
			}
		}
		var p50, p99, p999, most string
		if l := win.Latency; l != nil {
			p50, p99, p999, most = positive(float64(l.P50)), positive(float64(l.P99)), positive(float64(l.P999)), positive(float64(l.Max))
		}
		row := []string{
			strconv.Itoa(i + 1), "total", positive(win.Start), positive(win.Seconds), positive(win.BitsPerSecond), measured(win.ReverseBitsPerSecond), measured(win.SentBitsPerSecond),
			measured(win.TransactionsPerSecond), p50, p99, p999, most, measured(win.LostShare),
			measured(win.CPUSeconds), measured(win.ScaledToCPU), measured(win.ServiceDemand),
		}
		row = append(row, make([]string, len(r.Machines)+1)...)
		if err := cw.Write(append(row, end...)); err != nil {
			return err
		}
	}
	cw.Flush()
	return cw.Error()
}

// positive writes a figure that was measured, maybe as 0.
func positive(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// measured leaves a figure empty that is absent from the result.
func measured(v float64) string {
	if v == 0 {
		return ""
	}
	return positive(v)
}
