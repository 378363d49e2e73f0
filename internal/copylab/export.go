package copylab

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteCSV prints every figure, one a line. Times are core cycles a call.
func WriteCSV(w io.Writer, r Report) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"part", "method", "family", "bytes", "source_offset", "destination_offset", "state", "mode", "p10_cycles", "p50_cycles", "p90_cycles", "nanoseconds", "ratio_to_best", "ratio_to_roof"})
	f := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for _, x := range r.Cells {
		_ = c.Write([]string{
			x.Part, x.Method, x.Family, strconv.Itoa(x.Bytes), strconv.Itoa(x.Src), strconv.Itoa(x.Dst), string(x.State), string(x.Mode),
			f(x.P10), f(x.P50), f(x.P90), f(x.Nanoseconds), f(x.ToBest), f(x.ToRoof),
		})
	}
	for _, x := range r.Where {
		_ = c.Write([]string{"where", x.Way, "", strconv.Itoa(packet), "66", "0", x.Arrival, string(Loop), f(x.P10), f(x.Total), f(x.P90), "", "", ""})
	}
	c.Flush()
	return c.Error()
}

// WriteBench prints the figures in the Go benchmark format, for benchstat.
func WriteBench(w io.Writer, r Report) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "cpu: %s\nkernel: %s\nUnit core-cycles/op better=lower\n", r.Machine.Model, r.Machine.Kernel)
	key := strings.NewReplacer(" ", "-", "/", "-")
	for _, x := range r.Cells {
		name := map[string]string{"copy": "Copy", "checksum": "Checksum", "fused": "Fused"}[x.Family]
		fmt.Fprintf(b, "Benchmark%s/method=%s/part=%s/size=%d/src=%d/dst=%d/state=%s/mode=%s 1 %.5g ns/op %.6g MB/s %.5g core-cycles/op\n",
			name, key.Replace(x.Method), x.Part, x.Bytes, x.Src, x.Dst, x.State, x.Mode, x.Nanoseconds, 1e3*float64(x.Bytes)/x.Nanoseconds, x.P50)
	}
	for _, x := range r.Where {
		fmt.Fprintf(b, "BenchmarkWhere/way=%s/arrival=%s 1 %.5g core-cycles/op\n", key.Replace(strings.ReplaceAll(x.Way, ",", "")), x.Arrival, x.Total)
	}
	return b.Flush()
}
