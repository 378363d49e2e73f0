package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// print writes one contest's table, and how the first entry stands against the
// best of the others.
func print(out io.Writer, c contest, entries []entry, got [][]sample) {
	scale, unit := 1.0, "/s"
	if c.stream() {
		scale, unit = 1e9, "Gb/s"
	}
	fmt.Fprintf(out, "%s\n", c.name())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  tool\t%[1]s median\tlowest\thighest\t%[1]s per CPU median\tlowest\thighest\tCPUs\tus CPU each\tp50 us\tp99 us\tlowest\thighest\town/counted\tstrangers\t\n", unit)
	for i, e := range entries {
		s := got[i]
		demand := "-"
		if !c.stream() {
			demand = fmt.Sprintf("%.1f", median(column(s, func(s sample) float64 { return s.cpus / s.rate * 1e6 })))
		}
		p50, p99 := "-", "-\t-\t-"
		if s[0].own.p99 > 0 {
			p50 = fmt.Sprintf("%.1f", median(column(s, func(s sample) float64 { return s.own.p50.Seconds() * 1e6 })))
			p99 = spread(column(s, func(s sample) float64 { return s.own.p99.Seconds() * 1e6 }))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%.2f\t%s\t%s\t%s\t%.3f\t%.1f%%\t\n", e.title(),
			spread(column(s, func(s sample) float64 { return s.rate / scale })),
			spread(column(s, func(s sample) float64 { return s.perCPU() / scale })),
			median(column(s, func(s sample) float64 { return s.cpus })), demand, p50, p99,
			median(column(s, func(s sample) float64 { return s.own.rate / s.rate })),
			100*median(column(s, func(s sample) float64 { return s.strangers })))
	}
	w.Flush()
	versus(out, "rate", entries, got, func(s sample) float64 { return s.rate })
	versus(out, "per CPU", entries, got, sample.perCPU)
	if got[0][0].own.p99 > 0 {
		versus(out, "1/p99", entries, got, func(s sample) float64 { return 1 / s.own.p99.Seconds() })
	}
	fmt.Fprintln(out)
}

// versus writes the ratio of stackmeter's best entry to the best of the others:
// those with the highest medians.
func versus(out io.Writer, what string, entries []entry, got [][]sample, figure func(sample) float64) {
	best := func(ours bool) (at int) {
		at = -1
		for i, e := range entries {
			if (e.tool == "stackmeter") == ours && (at < 0 || median(column(got[i], figure)) > median(column(got[at], figure))) {
				at = i
			}
		}
		return at
	}
	us, them := best(true), best(false)
	if us < 0 || them < 0 {
		return
	}
	var ratios []float64
	for round := range got[us] {
		ratios = append(ratios, figure(got[us][round])/figure(got[them][round]))
	}
	fmt.Fprintf(out, "  %s: %s / %s = %.3f, median of %d rounds (%.3f to %.3f)\n", what, entries[us].title(), entries[them].title(),
		median(ratios), len(ratios), slices.Min(ratios), slices.Max(ratios))
}

func column(s []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(s))
	for i := range s {
		out[i] = f(s[i])
	}
	return out
}

func spread(v []float64) string {
	digits := 2
	if median(v) > 50 {
		digits = 0
	}
	return fmt.Sprintf("%.*f\t%.*f\t%.*f", digits, median(v), digits, slices.Min(v), digits, slices.Max(v))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
