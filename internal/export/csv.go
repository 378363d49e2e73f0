package export

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// figures are the numbers of a trial, by the names that they have in the
// result's own format. absent: a 0 means 'not measured' and is left empty.
var figures = []struct {
	name   string
	absent bool
	of     func(t *trial.Trial) float64
}{
	{"window_seconds", true, func(t *trial.Trial) float64 { return t.WindowSeconds }},
	{"throughput_bits_per_second", false, func(t *trial.Trial) float64 { return t.ThroughputBitsPerSecond }},
	{"throughput_scaled_to_cpu_bits_per_second", true, func(t *trial.Trial) float64 { return t.ScaledToCPU }},
	{"server_throughput_scaled_to_cpu_bits_per_second", true, func(t *trial.Trial) float64 { return t.ServerScaledToCPU }},
	{"service_demand_nanoseconds_per_kibibyte", true, func(t *trial.Trial) float64 { return t.ServiceDemand }},
	{"server_service_demand_nanoseconds_per_kibibyte", true, func(t *trial.Trial) float64 { return t.ServerServiceDemand }},
	{"messages_per_second", false, func(t *trial.Trial) float64 { return t.MessagesPerSecond }},
	{"cpu.utilization", true, func(t *trial.Trial) float64 { return t.CPU.Utilization }},
	{"cpu.server_utilization", true, func(t *trial.Trial) float64 { return t.CPU.ServerUtilization }},
	{"cpu.closure_error", false, func(t *trial.Trial) float64 { return t.CPU.ClosureError }},
}

// CSV writes every trial as a row (RFC 4180) under a row of names: what it
// was, a column for each factor of the result, its figures. What was not
// measured is empty.
func CSV(w io.Writer, d *result.Dir) error {
	cw := csv.NewWriter(w)
	fs := factors(d)
	head := []string{"id", "experiment", "replicate", "order", "attempt", "status", "started"}
	head = append(head, fs...)
	for _, f := range figures {
		head = append(head, f.name)
	}
	head = append(head, "cpu.source", "warnings", "error")
	if err := cw.Write(head); err != nil {
		return err
	}
	for i := range d.Trials {
		if err := cw.Write(row(&d.Trials[i], fs)); err != nil {
			return err
		}
	}
	cw.Flush()
	return cw.Error()
}

func row(t *trial.Trial, factors []string) []string {
	r := []string{
		t.ID, t.Experiment, strconv.Itoa(t.Replicate), strconv.Itoa(t.Order), strconv.Itoa(t.Attempt),
		string(t.Status), t.Started.UTC().Format(time.RFC3339Nano),
	}
	for _, f := range factors {
		r = append(r, t.Levels[f])
	}
	for _, f := range figures {
		v := f.of(t)
		if v == 0 && (f.absent || t.Status == trial.Failed) {
			r = append(r, "")
			continue
		}
		r = append(r, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return append(r, t.CPU.Source, strconv.Itoa(len(t.Warnings)), t.Error)
}
