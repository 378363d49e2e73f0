package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// print writes a case's table, the ratios that are asked for, and what is to be said
// about the runs.
func print(out io.Writer, c contest, got []sample, o options) {
	scale, unit, each := 1e3, "k/s", "1000"
	if c.kind.stream() {
		scale, unit, each = 1e9, "Gb/s", "10 MB"
	}
	fmt.Fprintf(out, "%s: %s\n", c.name, c.what)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  stack\t%[1]s\tlow\thigh\t%[1]s per CPU\tlow\thigh\tper own CPU\tCPUs\town\tallocations/%[2]s\tstrangers\t\n", unit, each)
	for _, e := range c.entries {
		s := of(got, e)
		if len(s) == 0 {
			fmt.Fprintf(w, "  %s\tno run succeeded\t\n", e.title())
			continue
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f%%\t\n", e.title(),
			spread(column(s, func(s sample) float64 { return s.Rate / scale })),
			spread(column(s, func(s sample) float64 { return s.perCPU() / scale })),
			median(column(s, sample.perOwnCPU))/scale,
			median(column(s, func(s sample) float64 { return s.CPUs })), median(column(s, func(s sample) float64 { return s.Own })),
			median(column(s, func(s sample) float64 { return s.Allocations })),
			100*median(column(s, func(s sample) float64 { return s.Strangers })))
	}
	_ = w.Flush()
	for _, a := range c.asks {
		a.print(out, got)
	}
	if c.steady {
		for _, e := range c.entries {
			collapsed(out, e, of(got, e), scale)
		}
	}
	failed, disturbed := 0, 0
	for _, s := range got {
		if s.Failed != "" {
			failed++
		} else if s.Strangers > o.strangers {
			disturbed++
		}
	}
	if failed+disturbed > 0 {
		fmt.Fprintf(out, "  of %d runs %d failed, and in %d others strangers used more than %.0f %% of the CPUs\n", len(got), failed, disturbed, 100*o.strangers)
	}
	fmt.Fprintln(out)
}

// of are the runs of an entry that succeeded.
func of(got []sample, e entry) []sample {
	return slices.DeleteFunc(slices.Clone(got), func(s sample) bool { return s.entry() != e || s.Failed != "" })
}

// print compares what came with what is asked, round by round.
func (a ask) print(out io.Writer, got []sample) {
	figure, what := sample.perCPU, "per CPU"
	switch {
	case a.own:
		figure, what = sample.perOwnCPU, "per CPU of the stack's own process"
	case a.rate:
		figure, what = func(s sample) float64 { return s.Rate }, "rate"
	}
	var ratios []float64
	for _, over := range of(got, a.over) {
		for _, under := range of(got, a.under) {
			if over.Round == under.Round {
				ratios = append(ratios, figure(over)/figure(under))
			}
		}
	}
	if len(ratios) == 0 {
		return
	}
	verdict := "reached"
	if median(ratios) < a.want {
		verdict = "MISSED"
	}
	fmt.Fprintf(out, "  %s: %s / %s = %.2f, median of %d rounds (%.2f to %.2f), asked %.1f: %s\n", what, a.over.title(), a.under.title(),
		median(ratios), len(ratios), slices.Min(ratios), slices.Max(ratios), a.want, verdict)
}

// collapsed counts the runs that carried less than half of the median.
func collapsed(out io.Writer, e entry, s []sample, scale float64) {
	if len(s) == 0 {
		return
	}
	rates := column(s, func(s sample) float64 { return s.Rate })
	n := 0
	for _, r := range rates {
		if r < median(rates)/2 {
			n++
		}
	}
	fmt.Fprintf(out, "  %s: %d of %d runs under half of the median %.2f Gb/s; the lowest %.3f\n", e.title(), n, len(s), median(rates)/scale, slices.Min(rates)/scale)
}

func column(s []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(s))
	for i := range s {
		out[i] = f(s[i])
	}
	return out
}

func spread(v []float64) string {
	return strings.Join([]string{fmt.Sprintf("%.2f", median(v)), fmt.Sprintf("%.2f", slices.Min(v)), fmt.Sprintf("%.2f", slices.Max(v))}, "\t")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
