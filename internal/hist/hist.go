// Package hist is a log-linear histogram of latencies in nanoseconds that can be
// recorded at the cost of a store, read from another process while it is
// recorded, subtracted, merged and written as JSON.
//
// The layout is fixed: each power of two is cut into 128 buckets, so that a
// bucket is never wider than 1/128 of the values in it; below 256 ns each value
// has a bucket of its own. 4096 buckets (32 KiB, eight pages) reach [Limit],
// 273 s; what lies above is counted in the last one, see [Hist.Saturated].
//
// A histogram may lie in memory shared between processes (see [Of]). It then has
// one writer, and readers take it with [Hist.Copy] while it is written: counts
// only grow, each is read whole, but they are not read at one instant. All other
// methods are for a histogram that nobody writes. Within one process the race
// detector does not know this bargain and reports such readers; synchronise
// there.
//
// Quantiles are of buckets: they are never below the true value and at most
// 1/128 of it above. There is no sum: the mean comes from the buckets too.
package hist

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

const (
	// SubBucketBits says how finely a power of two is cut: 2^SubBucketBits
	// buckets.
	SubBucketBits = 7
	// Buckets is the number of counts in a histogram.
	Buckets = 4096
	// Bytes is the memory of a histogram.
	Bytes = Buckets * 8
	// Limit is the first value, in nanoseconds, that is counted as out of range:
	// 273.8 s.
	Limit = (1<<(SubBucketBits+1) - 1) << maxShift

	sub      = 1 << SubBucketBits
	maxShift = Buckets/sub - 2
)

// Hist holds the count of each bucket. The zero value is empty and ready.
type Hist [Buckets]uint64

// New makes an empty histogram.
func New() *Hist { return new(Hist) }

// Of takes memory that the caller owns and keeps for as long as the histogram is
// in use, such as a mapping shared with another process, as a histogram with
// what it holds already. The memory must be of [Buckets] words.
func Of(mem []uint64) (*Hist, error) {
	if len(mem) != Buckets {
		return nil, fmt.Errorf("histogram in %d words of memory: give it %d", len(mem), Buckets)
	}
	return (*Hist)(mem), nil
}

// index is the bucket of a value.
func index(ns int64) uint {
	v := uint64(max(ns, 0))
	shift := uint(bits.Len64(v|sub)) - (SubBucketBits + 1)
	return min(shift<<SubBucketBits+uint(v>>(shift&63)), Buckets-1)
}

// bounds are the smallest and the largest value of a bucket; the last bucket has
// no end and is given as [Limit] alone.
func bounds(i int) (low, high int64) {
	if i == Buckets-1 {
		return Limit, Limit
	}
	shift := max(i>>SubBucketBits-1, 0)
	low = int64(i-shift<<SubBucketBits) << shift
	return low, low + 1<<shift - 1
}

// Record counts one value in nanoseconds. A negative one, which only a clock
// that was set back can give, is counted as 0.
func (h *Hist) Record(ns int64) { h[index(ns)]++ }

// RecordN counts a value n times.
func (h *Hist) RecordN(ns int64, n uint64) { h[index(ns)] += n }

// Copy reads a histogram, which may be written meanwhile, into dst. Of two
// copies taken one after the other no count of the second is below the first's.
func (h *Hist) Copy(dst *Hist) {
	for i := range h {
		dst[i] = atomic.LoadUint64(&h[i])
	}
}

// Merge adds what another histogram holds.
func (h *Hist) Merge(other *Hist) {
	for i, n := range other {
		h[i] += n
	}
}

// Sub takes an earlier copy of the same histogram away, which leaves what was
// recorded between the two. Where earlier holds more the bucket is left empty,
// and the error names the first such.
func (h *Hist) Sub(earlier *Hist) error {
	var err error
	for i, n := range earlier {
		if n > h[i] {
			if err == nil {
				low, high := bounds(i)
				err = fmt.Errorf("bucket %d (%d to %d ns) holds %d records, fewer than the %d of the earlier copy: not two copies of one histogram in order", i, low, high, h[i], n)
			}
			n = h[i]
		}
		h[i] -= n
	}
	return err
}
