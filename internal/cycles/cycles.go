// Package cycles reads the CPU's time stamp counter and relates it to seconds and
// to cycles of the core.
//
// The counter ticks at a constant rate that is not the core's: the core may run
// faster (boost) or slower than it. Both rates are measured, not looked up; in a
// virtual machine CPUID seldom tells the counter's, and the core's changes with
// load and temperature. Where there is no such counter (anything but amd64) a tick
// is a nanosecond of the monotonic clock and core cycles are not known.
package cycles

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Clock is a calibrated counter.
type Clock struct {
	TicksPerSecond float64 `json:"ticks_per_second"`
	// Spread is (max - min) / median of the calibration's repetitions: how far the
	// counter may be trusted.
	Spread float64 `json:"calibration_spread"`
	// Overhead is what an empty Start-Stop pair costs, in ticks: the minimum seen.
	Overhead uint64 `json:"overhead_ticks"`
	// Granularity is the step in which the counter advances, in ticks: above 1 on
	// some CPUs, whose single readings are no finer than that.
	Granularity uint64 `json:"granularity_ticks"`
}

// ErrUnsteady is returned, wrapped, by Calibrate when the counter does not tick
// evenly against the system's clock.
var ErrUnsteady = errors.New("time stamp counter is not steady")

// maxSpread is the largest disagreement between repetitions that Calibrate accepts.
const maxSpread = 0.01

// Calibrate measures the counter against the monotonic clock in five repetitions
// that take about d together. It fails if they disagree by more than 1 %.
func Calibrate(d time.Duration) (Clock, error) {
	var rates []float64
	for range 5 {
		t0, c0 := edge()
		time.Sleep(d / 5)
		t1, c1 := edge()
		rates = append(rates, float64(c1-c0)/t1.Sub(t0).Seconds())
	}
	slices.Sort(rates)
	c := Clock{TicksPerSecond: rates[2], Spread: (rates[4] - rates[0]) / rates[2], Overhead: ^uint64(0)}
	for range 1000 {
		d := -Start() + Stop()
		c.Overhead = min(c.Overhead, d)
		c.Granularity = gcd(c.Granularity, d)
	}
	if c.Spread > maxSpread {
		return c, fmt.Errorf("%w: repetitions of the calibration differ by %.2f %%; see that no virtual machine migration or clock step is under way and try again", ErrUnsteady, 100*c.Spread)
	}
	return c, nil
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// edge reads both clocks at one moment: of a few attempts the one in which the
// system's clock was read fastest.
func edge() (time.Time, uint64) {
	var when time.Time
	var at uint64
	best := ^uint64(0)
	for range 20 {
		a := Start()
		now := time.Now()
		b := Start()
		if b-a < best {
			best, when, at = b-a, now, a+(b-a)/2
		}
	}
	return when, at
}

// Seconds converts ticks to seconds.
func (c Clock) Seconds(ticks float64) float64 { return ticks / c.TicksPerSecond }

// chainLength is the number of dependent multiplications timed by CoreRatio: about a
// microsecond, so that an interrupt seldom falls into it.
const chainLength = 1024

// CoreRatio samples the core's clock now: core cycles per tick. It times a chain of
// dependent multiplications, each of which takes three cycles on every x86 core of
// the last fifteen years, and takes the fastest of three. It returns 0 where core
// cycles are not known.
func CoreRatio() float64 {
	if !hasChain {
		return 0
	}
	best := ^uint64(0)
	for range 3 {
		t := Start()
		chain(chainLength)
		best = min(best, Stop()-t)
	}
	return 3 * chainLength / float64(best)
}
