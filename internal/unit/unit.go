// Package unit writes and reads quantities as engineers of this field do: bit
// rates in SI (1 Gb/s is 10^9 bits per second), sizes of memory in IEC (1 KiB
// is 1024 bytes), shares as percentages. Written forms are for people; results
// hold plain numbers with the unit in their names.
package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var siPrefixes = []struct {
	factor float64
	name   string
}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}

// BitRate writes bits per second with three significant digits: "9.41 Gb/s".
func BitRate(bitsPerSecond float64) string { return si(bitsPerSecond) + "b/s" }

// Rate writes a number per second with three significant digits: "12.9 k/s".
func Rate(perSecond float64) string { return strings.TrimSuffix(si(perSecond), " ") + "/s" }

// si ends in a blank and the prefix, if any.
func si(v float64) string {
	abs := math.Abs(v)
	for i, p := range siPrefixes {
		// 999.5 and more rounds into the next prefix
		if abs >= p.factor*0.9995 {
			if i > 0 && abs >= siPrefixes[i-1].factor*0.9995 {
				continue
			}
			return digits3(v/p.factor) + " " + p.name
		}
	}
	return digits3(v) + " "
}

// digits3 writes three significant digits, without an exponent.
func digits3(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 99.95 || v == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

var iecPrefixes = []struct {
	shift uint
	name  string
}{{40, "Ti"}, {30, "Gi"}, {20, "Mi"}, {10, "Ki"}}

// Size writes a number of bytes exactly: in the largest IEC unit that divides
// it, else in bytes: "64 KiB", "1500 B". ParseSize reads it back.
func Size(bytes int64) string {
	for _, p := range iecPrefixes {
		if bytes != 0 && bytes%(1<<p.shift) == 0 {
			return fmt.Sprintf("%d %sB", bytes>>p.shift, p.name)
		}
	}
	return fmt.Sprintf("%d B", bytes)
}

// SizeFlag is Size as one types it: "64K", "1500".
func SizeFlag(bytes int64) string {
	s := Size(bytes)
	return strings.TrimSuffix(strings.TrimSuffix(strings.ReplaceAll(s, " ", ""), "B"), "i")
}

// Percent writes a share (0..1) with one decimal: "57.8 %".
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Change writes a share as a change, with its sign: "+74.5 %".
func Change(share float64) string { return fmt.Sprintf("%+.1f %%", 100*share) }

// Seconds writes a time in seconds with three significant digits and the unit
// that suits: "1.50 s", "250 ms", "13.0 us".
func Seconds(s float64) string {
	abs := math.Abs(s)
	switch {
	case abs >= 0.9995 || s == 0:
		return digits3(s) + " s"
	case abs >= 0.9995e-3:
		return digits3(s*1e3) + " ms"
	case abs >= 0.9995e-6:
		return digits3(s*1e6) + " us"
	default:
		return digits3(s*1e9) + " ns"
	}
}

// Remaining writes a duration as progress displays do: "2m05s", "45s".
func Remaining(d time.Duration) string {
	s := int64(math.Ceil(max(d, 0).Seconds()))
	switch {
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	default:
		return fmt.Sprintf("%ds", s)
	}
}
