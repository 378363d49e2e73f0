package hist

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Every bucket begins where the one before ends, holds its own bounds and is no
// wider than promised.
func TestBucketsTile(t *testing.T) {
	next := int64(0)
	for i := range Buckets - 1 {
		low, high := bounds(i)
		if low != next || high < low {
			t.Fatalf("bucket %d is %d..%d, the one before ends at %d", i, low, high, next-1)
		}
		if index(low) != uint(i) || index(high) != uint(i) {
			t.Fatalf("bucket %d is %d..%d, which are counted in %d and %d", i, low, high, index(low), index(high))
		}
		if (high-low)*128 > low {
			t.Fatalf("bucket %d is %d..%d: wider than 1/128", i, low, high)
		}
		if low < 256 && low != high {
			t.Fatalf("bucket %d is %d..%d: not exact", i, low, high)
		}
		next = high + 1
	}
	if next != Limit {
		t.Fatalf("the buckets end at %d, Limit is %d", next, Limit)
	}
	for _, v := range []int64{Limit, Limit + 1, 1 << 62, math.MaxInt64} {
		if index(v) != Buckets-1 {
			t.Errorf("%d is counted in bucket %d", v, index(v))
		}
	}
	if index(-1) != 0 || index(math.MinInt64) != 0 {
		t.Error("a negative value is not counted as 0")
	}
	if Limit < 100e9 {
		t.Errorf("Limit is %d, below 100 s", Limit)
	}
}

// value draws a latency of any magnitude within range.
func value(t *rapid.T, label string) int64 {
	return rapid.Int64Range(0, Limit-1).Draw(t, label) >> rapid.IntRange(0, bits.Len64(Limit)).Draw(t, label+" shift")
}

// checkQuantiles holds a histogram against the sorted values that it counted.
func checkQuantiles(t interface{ Fatalf(string, ...any) }, h *Hist, sorted []int64, qs []float64) {
	n := len(sorted)
	for _, q := range qs {
		want := sorted[rank(q, uint64(n))-1]
		if got := h.Quantile(q); got < want || (got-want)*128 > want {
			t.Fatalf("quantile %v of %d records is %d, exactly %d", q, n, got, want)
		}
	}
	var sum float64
	for _, v := range sorted {
		sum += float64(v)
	}
	if mean := sum / float64(n); math.Abs(h.Mean()-mean) > mean/256+1e-9*mean {
		t.Fatalf("mean is %v, exactly %v", h.Mean(), mean)
	}
	if low := sorted[0]; h.Min() > low || (low-h.Min())*128 > low {
		t.Fatalf("minimum is %d, exactly %d", h.Min(), low)
	}
	if h.Count() != uint64(n) {
		t.Fatalf("%d records, want %d", h.Count(), n)
	}
}

func TestQuantilesOfDistributions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var qs []float64
	for i := range 1001 {
		qs = append(qs, float64(i)/1000)
	}
	qs = append(qs, 0.9999, 0.99999)
	for name, draw := range map[string]func() float64{
		"uniform to 1 ms":        func() float64 { return r.Float64() * 1e6 },
		"exponential, 50 us":     func() float64 { return r.ExpFloat64() * 5e4 },
		"log-normal, wide":       func() float64 { return math.Exp(r.NormFloat64()*3 + 10) },
		"two modes, 10 us 40 ms": func() float64 { return []float64{1e4, 4e7}[r.IntN(2)] * (1 + 0.01*r.NormFloat64()) },
		"pareto":                 func() float64 { return 2e4 / math.Sqrt(1-r.Float64()) },
		"constant":               func() float64 { return 77777 },
		"below 300 ns":           func() float64 { return r.Float64() * 300 },
	} {
		t.Run(name, func(t *testing.T) {
			h, values := New(), make([]int64, 20000)
			for i := range values {
				values[i] = min(int64(draw()), Limit-1)
				h.Record(values[i])
			}
			slices.Sort(values)
			checkQuantiles(t, h, values, qs)
			p := h.Percentiles()
			if p.Count != 20000 || p.P50 != h.Quantile(0.5) || p.P90 != h.Quantile(0.9) || p.P99 != h.Quantile(0.99) ||
				p.P999 != h.Quantile(0.999) || p.P9999 != h.Quantile(0.9999) || p.Max != h.Quantile(1) || p.Min != h.Min() || p.Mean != h.Mean() {
				t.Errorf("percentiles %+v differ from the quantiles", p)
			}
		})
	}
}

func TestAnyRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := make([]int64, rapid.IntRange(1, 200).Draw(t, "n"))
		all, parts := New(), [3]*Hist{New(), New(), New()}
		for i := range values {
			values[i] = value(t, "v")
			all.Record(values[i])
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Record(values[i])
		}
		merged := New()
		for _, p := range parts {
			merged.Merge(p)
		}
		if *merged != *all {
			t.Fatal("merged parts differ from all recorded in one")
		}
		for _, p := range parts[1:] {
			if err := merged.Sub(p); err != nil {
				t.Fatal(err)
			}
		}
		if *merged != *parts[0] {
			t.Fatal("all less two parts is not the third")
		}
		slices.Sort(values)
		checkQuantiles(t, all, values, []float64{0, rapid.Float64Range(0, 1).Draw(t, "q"), 1})
	})
}

// ceil(q*n) is of the decimal fraction that was meant, for every percentile of
// every count.
func TestRankOfDecimalFractions(t *testing.T) {
	for n := uint64(1); n <= 3000; n++ {
		for permille := uint64(1); permille < 1000; permille++ {
			if got, want := rank(float64(permille)/1000, n), (permille*n+999)/1000; got != want {
				t.Fatalf("rank of %d/1000 among %d is %d, not %d", permille, n, got, want)
			}
		}
	}
	if rank(0.5, 1<<50) != 1<<49 {
		t.Errorf("rank of the median among 2^50 is %d", rank(0.5, 1<<50))
	}
	for q, want := range map[float64]uint64{-1: 1, 0: 1, 2: 10, math.Inf(1): 10} {
		if got := rank(q, 10); got != want {
			t.Errorf("rank of %v among 10 is %d, not %d", q, got, want)
		}
	}
	if got := rank(math.NaN(), 10); got != 1 {
		t.Errorf("rank of NaN among 10 is %d", got)
	}
}

func TestEmptyAndSaturated(t *testing.T) {
	h := New()
	if p := h.Percentiles(); p != (Percentiles{}) {
		t.Errorf("an empty histogram gives %+v", p)
	}
	h.RecordN(1000, 98)
	h.Record(Limit)
	h.Record(math.MaxInt64)
	p := h.Percentiles()
	if p.Saturated != 2 || p.Max != Limit || p.P99 != Limit || p.P90 < 1000 || p.P90 > 1007 {
		t.Errorf("two of 100 above the range: %+v", p)
	}
}

// Below counts exactly at the values where a bucket begins.
func TestBelow(t *testing.T) {
	h := New()
	for _, v := range []int64{0, 255, 256, 1023, 1024, 1535, 1536, Limit} {
		h.Record(v)
	}
	for ns, want := range map[int64]uint64{-1: 0, 0: 0, 1: 1, 256: 2, 1024: 4, 1536: 6, 1 << 34: 7, math.MaxInt64: 7} {
		if got := h.Below(ns); got != want {
			t.Errorf("%d below %d, want %d", got, ns, want)
		}
	}
}

func TestSubRefusesWrongOrder(t *testing.T) {
	earlier, later := New(), New()
	earlier.RecordN(5000, 3)
	later.RecordN(5000, 2)
	later.RecordN(9, 4)
	err := later.Sub(earlier)
	if err == nil || !strings.Contains(err.Error(), "holds 2 records, fewer than the 3") {
		t.Errorf("a histogram that shrank: %v", err)
	}
	if later.Count() != 4 || later.Max() != 9 {
		t.Errorf("%d records up to %d are left, want the 4 of 9 ns", later.Count(), later.Max())
	}
}

func TestOfWrongSize(t *testing.T) {
	for _, n := range []int{0, Buckets - 1, Buckets + 1} {
		if _, err := Of(make([]uint64, n)); err == nil {
			t.Errorf("took memory of %d words", n)
		}
	}
}

// Nothing is allocated where it is recorded and read.
func TestAllocatesNothing(t *testing.T) {
	h, dst, before := New(), New(), New()
	got := testing.AllocsPerRun(100, func() {
		h.Record(123456)
		h.RecordN(99, 2)
		h.Copy(dst)
		if err := dst.Sub(before); err != nil {
			t.Error(err)
		}
		dst.Merge(before)
		dst.Percentiles()
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

const writerEnv = "HIST_TEST_WRITER"

// mapping takes an open memfd as words.
func mapping(t *testing.T, fd int) *Hist {
	t.Helper()
	mem, err := unix.Mmap(fd, 0, Bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	h, err := Of(unsafe.Slice((*uint64)(unsafe.Pointer(&mem[0])), Buckets))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// write records into the mapping behind descriptor 3 until its input ends, and
// prints how often.
func write(t *testing.T) {
	h := mapping(t, 3)
	var stop atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	n := int64(0)
	for ; !stop.Load(); n++ {
		h.Record(n & 0xffff)
	}
	fmt.Printf("%d records\n", n)
}

// One process records into shared memory while this one takes copies: no count
// ever falls, and in the end every record is there.
func TestReadWhileAnotherProcessWrites(t *testing.T) {
	if os.Getenv(writerEnv) != "" {
		write(t)
		return
	}
	fd, err := unix.MemfdCreate("hist", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "hist")
	defer file.Close()
	if err := file.Truncate(Bytes); err != nil {
		t.Fatal(err)
	}
	h := mapping(t, fd)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), writerEnv+"=1")
	cmd.ExtraFiles = []*os.File{file}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	before, now := New(), New()
	for grew := 0; grew < 200 && ctx.Err() == nil; before, now = now, before {
		h.Copy(now)
		part := *now
		if err := part.Sub(before); err != nil {
			t.Error(err)
			break
		}
		if part.Count() > 0 {
			grew++
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("writer: %v", err)
	}
	h.Copy(now)
	if got := fmt.Sprintf("%d records\n", now.Count()); !strings.HasPrefix(out.String(), got) {
		t.Errorf("%s arrived, the writer says %s", got, out.String())
	}
}

func BenchmarkRecord(b *testing.B) {
	values := make([]int64, 4096)
	for i := range values {
		values[i] = int64(math.Exp(rand.NormFloat64() + 11))
	}
	h := New()
	for i := 0; b.Loop(); i++ {
		h.Record(values[i%len(values)])
	}
}

func BenchmarkPercentiles(b *testing.B) {
	h := New()
	for range 100000 {
		h.Record(int64(math.Exp(rand.NormFloat64() + 11)))
	}
	for b.Loop() {
		h.Percentiles()
	}
}
