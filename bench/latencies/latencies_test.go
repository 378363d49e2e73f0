// Package latencies holds stackmeter's histogram beside HdrHistogram's: the cost
// of a record and what either says of the same values.
//
//	go test -bench . ./latencies
package latencies

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stackmeter/stackmeter/internal/hist"
)

// values are latencies around 60 us with a long tail.
func values(n int) []int64 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(math.Exp(r.NormFloat64() + 11))
	}
	return out
}

// hdr is HdrHistogram over the same range with the precision next above: 3
// digits; 2 digits, the next below, are coarser than 1/128 in places.
func hdr(digits int) *hdrhistogram.Histogram {
	return hdrhistogram.New(1, hist.Limit-1, digits)
}

func BenchmarkRecord(b *testing.B) {
	vs := values(1 << 14)
	b.Run("stackmeter", func(b *testing.B) {
		h := hist.New()
		b.ReportMetric(float64(unsafe.Sizeof(*h)), "bytes")
		for i := 0; b.Loop(); i++ {
			h.Record(vs[i&(1<<14-1)])
		}
	})
	for digits := 2; digits <= 3; digits++ {
		b.Run(map[int]string{2: "hdr/digits=2", 3: "hdr/digits=3"}[digits], func(b *testing.B) {
			h := hdr(digits)
			b.ReportMetric(float64(h.ByteSize()), "bytes")
			for i := 0; b.Loop(); i++ {
				if err := h.RecordValue(vs[i&(1<<14-1)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkP99(b *testing.B) {
	vs := values(1 << 14)
	ours, theirs := hist.New(), hdr(3)
	for _, v := range vs {
		ours.Record(v)
		if err := theirs.RecordValue(v); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("stackmeter", func(b *testing.B) {
		for b.Loop() {
			ours.Quantile(0.99)
		}
	})
	b.Run("hdr/digits=3", func(b *testing.B) {
		for b.Loop() {
			theirs.ValueAtQuantile(99)
		}
	})
}

// Both say the same of the same values, as far as they are exact. (Where q*n is
// no whole number HdrHistogram takes the nearest rank, not the next.)
func TestAgreesWithHdr(t *testing.T) {
	ours, theirs := hist.New(), hdr(3)
	for _, v := range values(10000) {
		ours.Record(v)
		if err := theirs.RecordValue(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []float64{0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
		a, b := float64(ours.Quantile(q)), float64(theirs.ValueAtQuantile(100*q))
		if math.Abs(a-b) > b/128+b/1000 {
			t.Errorf("quantile %v: %v here, %v there", q, a, b)
		}
	}
}
