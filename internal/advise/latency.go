package advise

import (
	"maps"
	"time"

	"github.com/stackmeter/stackmeter/internal/experiment"
)

// Latency is what a request and its answer take, with and without a change: seconds.
type Latency struct {
	Before Percentiles `json:"before"`
	After  Percentiles `json:"after"`
}

// Percentiles of the round trips of one connection a NIC, one request at a time.
type Percentiles struct {
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	Count uint64  `json:"requests"`
}

// latencies measures what each advice costs, as far as the budget goes.
func (s *session) latencies() {
	cell := experiment.Levels{}
	took := 3 * s.each / 2 // a measurement, at most
	measure := func(i int) *Percentiles {
		s.progress(i, len(s.report.Advice), "latency")
		began := time.Now()
		defer func() { took = max(took, time.Since(began)) }()
		c, err := cell.Config(s.plan.Defaults)
		if err == nil {
			var p Percentiles
			if p, err = s.Bench.Latency(s.ctx, c, s.Timing); err == nil {
				return &p
			}
		}
		s.report.Notes = append(s.report.Notes, "latency: "+err.Error())
		return nil
	}
	fits := func() bool { return time.Until(s.deadline)-time.Duration(s.reserve)*s.each >= took }
	var before *Percentiles
	for i := range s.report.Advice {
		a := &s.report.Advice[i]
		if before == nil && fits() {
			before = measure(i)
		}
		if !fits() {
			s.report.Notes = append(s.report.Notes, "the budget had no time for the latency of "+a.Name+" and what follows it")
			return
		}
		maps.Copy(cell, a.Levels)
		after := measure(i)
		if before != nil && after != nil {
			a.Latency = &Latency{*before, *after}
		}
		before = after
	}
}
