package export

import (
	"fmt"
	"io"
	"strings"

	"github.com/stackmeter/stackmeter/meter"
)

// RunFormat is a format of what one run of the load generator measured.
type RunFormat struct {
	Name   string
	Doc    string
	Encode func(w io.Writer, r *meter.Result) error
}

// RunFormats lists all formats of runs. In each of them a run that is not complete can be
// told from one that is.
func RunFormats() []RunFormat {
	return []RunFormat{
		{"json", "everything, one document (doc/run-format.md)", RunJSON},
		{"csv", "one row an interval, and one for each window", RunCSV},
		{"gobench", "the Go benchmark format, for benchstat: a line for each window", RunGoBench},
		{"openmetrics", "OpenMetrics text, for Prometheus and what reads its files", RunOpenMetrics},
		{"iperf3", "as iperf3 --json, for what reads that (streams over TCP and UDP)", RunIperf3},
	}
}

// FindRun returns the format of that name.
func FindRun(name string) (RunFormat, error) {
	var known []string
	for _, f := range RunFormats() {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return RunFormat{}, fmt.Errorf("unknown format %q: known are %s", name, strings.Join(known, ", "))
}
