package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize reads a number of bytes: "1500", "1500B", "8K", "8KiB", "64 KiB",
// "1M", "1.5G". K, M, G and T are powers of 1024. KB and its like are refused,
// since half the world reads them as 1000.
func ParseSize(s string) (int64, error) {
	fail := func(why string) (int64, error) {
		return 0, fmt.Errorf("size %q: %s; write bytes or K, M, G, as in 1500, 8K, 64KiB", s, why)
	}
	num, suffix := split(s)
	if num == "" {
		return fail("no number")
	}
	shift := uint(0)
	switch strings.ToLower(suffix) {
	case "", "b":
	case "k", "kib":
		shift = 10
	case "m", "mib":
		shift = 20
	case "g", "gib":
		shift = 30
	case "t", "tib":
		shift = 40
	case "kb", "mb", "gb", "tb":
		return fail(fmt.Sprintf("%s may mean powers of 1000 or of 1024: write %siB", suffix, strings.ToUpper(suffix[:1])))
	default:
		return fail(fmt.Sprintf("unknown unit %q", suffix))
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		if n > math.MaxInt64>>shift {
			return fail("too large")
		}
		return n << shift, nil
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil {
		return fail(fmt.Sprintf("%q is no number", num))
	}
	f *= float64(int64(1) << shift)
	if f >= math.MaxInt64 {
		return fail("too large")
	}
	if f != math.Trunc(f) {
		return fail("no whole number of bytes")
	}
	return int64(f), nil
}

// ParseSizes reads sizes with commas between them.
func ParseSizes(s string) ([]int64, error) {
	var out []int64
	for _, part := range strings.Split(s, ",") {
		n, err := ParseSize(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// ParseBitRate reads bits per second in SI: "1G", "1Gb/s", "2.5 Gbit/s",
// "700Mbit", "1e9". Bytes per second ("GB/s") are refused.
func ParseBitRate(s string) (float64, error) {
	fail := func(why string) (float64, error) {
		return 0, fmt.Errorf("bit rate %q: %s; write bits per second or k, M, G, as in 700M, 2.5Gb/s", s, why)
	}
	num, suffix := split(s)
	if num == "" {
		return fail("no number")
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || math.IsInf(v, 0) {
		return fail(fmt.Sprintf("%q is no number", num))
	}
	rest := suffix
	factor := 1.0
	if rest != "" {
		switch rest[0] {
		case 'k', 'K':
			factor = 1e3
		case 'm', 'M':
			factor = 1e6
		case 'g', 'G':
			factor = 1e9
		case 't', 'T':
			factor = 1e12
		}
		if factor != 1 {
			rest = rest[1:]
		}
	}
	switch rest {
	case "", "b/s", "bit/s", "bit", "bps":
		return v * factor, nil
	case "B/s", "B", "Bps":
		return fail("bytes per second: multiply by 8")
	}
	return fail(fmt.Sprintf("unknown unit %q", suffix))
}

// ParseSeconds reads a positive duration: "10s", "1m30s", "500ms", or a bare
// number of seconds.
func ParseSeconds(s string) (time.Duration, error) {
	t := strings.TrimSpace(s)
	if v, err := strconv.ParseFloat(t, 64); err == nil && v < math.MaxInt64/1e9 {
		t = strconv.FormatFloat(v, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(t)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("duration %q: not a positive time; write it as 10s, 500ms or 1m30s", s)
	}
	return d, nil
}

// ParsePercent reads a share, as "5%", "5 %" or "0.05", and returns 0.05.
func ParsePercent(s string) (float64, error) {
	num, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("share %q: not between 0 and 100 %%; write it as 5%% or 0.05", s)
	}
	return v, nil
}

// split parts a quantity into its number and its unit.
func split(s string) (num, suffix string) {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	// An exponent belongs to the number if a digit follows it.
	if i > 0 && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		k := j
		for k < len(s) && s[k] >= '0' && s[k] <= '9' {
			k++
		}
		if k > j {
			i = k
		}
	}
	return s[:i], strings.TrimSpace(s[i:])
}
