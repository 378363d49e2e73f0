package hist

import "math"

// Count is the number of records.
func (h *Hist) Count() uint64 {
	var n uint64
	for _, c := range h {
		n += c
	}
	return n
}

// Saturated is the number of records of [Limit] and above. Where it is not zero
// a quantile or maximum of Limit means 'at least', and the mean is too low.
func (h *Hist) Saturated() uint64 { return h[Buckets-1] }

// Below is the number of records in the buckets that end below a value in nanoseconds: of
// records below it where a bucket begins there, as one does at powers of two.
func (h *Hist) Below(ns int64) uint64 {
	var n uint64
	for _, c := range h[:index(ns)] {
		n += c
	}
	return n
}

// Quantile is the smallest bucket bound v in nanoseconds such that at least
// ceil(q*n) of the n records, and at least one, are <= v: never below the value
// of that rank among the sorted records, and at most 1/128 of it above. q is
// from 0 to 1, and what lies outside is taken as the nearer end; q*n is rounded
// so that 0.07 of 100 is 7, which binary fractions alone would make 8. An empty
// histogram gives 0.
func (h *Hist) Quantile(q float64) int64 {
	return h.ranked(rank(q, h.Count()))
}

// rank is ceil(q*n) within 1..n.
func rank(q float64, n uint64) uint64 {
	if !(q > 0) || n == 0 {
		return 1
	}
	if q >= 1 {
		return n
	}
	// The error of q and of the product together is at most 2^-52 of it.
	return min(max(uint64(math.Ceil(q*float64(n)*(1-0x1p-51))), 1), n)
}

// ranked is the upper bound of the bucket that holds the record of a rank,
// counted from 1.
func (h *Hist) ranked(rank uint64) int64 {
	var seen uint64
	for i, c := range h {
		if seen += c; seen >= rank {
			_, high := bounds(i)
			return high
		}
	}
	return 0
}

// Min is the lower bound, in nanoseconds, of the lowest bucket with a record; 0
// if there is none.
func (h *Hist) Min() int64 {
	for i, c := range h {
		if c > 0 {
			low, _ := bounds(i)
			return low
		}
	}
	return 0
}

// Max is the upper bound, in nanoseconds, of the highest bucket with a record; 0
// if there is none.
func (h *Hist) Max() int64 { return h.Quantile(1) }

// Mean is the mean in nanoseconds, each record taken as the middle of its
// bucket, so at most 1/256 off; 0 if there is none.
func (h *Hist) Mean() float64 {
	var sum, n float64
	for i, c := range h {
		if c > 0 {
			low, high := bounds(i)
			sum += float64(c) * (float64(low) + float64(high)) / 2
			n += float64(c)
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// Percentiles are the figures that reports show, in nanoseconds, as [Hist.Min],
// [Hist.Mean], [Hist.Quantile] and [Hist.Max] give them.
type Percentiles struct {
	Count     uint64  `json:"count"`
	Saturated uint64  `json:"saturated,omitempty"` // records above the range: max, and maybe more, mean 'at least'
	Min       int64   `json:"min_nanoseconds"`
	Mean      float64 `json:"mean_nanoseconds"`
	P50       int64   `json:"p50_nanoseconds"`
	P90       int64   `json:"p90_nanoseconds"`
	P99       int64   `json:"p99_nanoseconds"`
	P999      int64   `json:"p99.9_nanoseconds"`
	P9999     int64   `json:"p99.99_nanoseconds"`
	Max       int64   `json:"max_nanoseconds"`
}

// Percentiles summarises the histogram.
func (h *Hist) Percentiles() Percentiles {
	n := h.Count()
	return Percentiles{
		Count: n, Saturated: h.Saturated(), Min: h.Min(), Mean: h.Mean(),
		P50: h.ranked(rank(0.5, n)), P90: h.ranked(rank(0.9, n)), P99: h.ranked(rank(0.99, n)),
		P999: h.ranked(rank(0.999, n)), P9999: h.ranked(rank(0.9999, n)), Max: h.ranked(rank(1, n)),
	}
}
