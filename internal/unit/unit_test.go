package unit

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{BitRate(9.414e9), "9.41 Gb/s"},
		{BitRate(604e6), "604 Mb/s"},
		{BitRate(999.6e6), "1.00 Gb/s"},
		{BitRate(999.4e6), "999 Mb/s"},
		{BitRate(1.234e13), "12.3 Tb/s"},
		{BitRate(0), "0 b/s"},
		{BitRate(-2.5e3), "-2.50 kb/s"},
		{Rate(12900), "12.9 k/s"},
		{Rate(12), "12.0/s"},
		{Size(65536), "64 KiB"},
		{Size(1500), "1500 B"},
		{Size(0), "0 B"},
		{Size(3 << 30), "3 GiB"},
		{SizeFlag(65536), "64K"},
		{SizeFlag(1500), "1500"},
		{Percent(0.578), "57.8 %"},
		{Change(0.7453), "+74.5 %"},
		{Change(-0.31), "-31.0 %"},
		{Seconds(1.5), "1.50 s"},
		{Seconds(0.25), "250 ms"},
		{Seconds(13e-6), "13.0 us"},
		{Seconds(42e-9), "42.0 ns"},
		{Remaining(125 * time.Second), "2m05s"},
		{Remaining(44100 * time.Millisecond), "45s"},
		{Remaining(2*time.Hour + 90*time.Second), "2h01m"},
		{Remaining(-time.Second), "0s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"1500": 1500, "1500B": 1500, "8K": 8192, "8k": 8192, "64KiB": 65536, "64 KiB": 65536,
		"1M": 1 << 20, "1.5K": 1536, "2GiB": 2 << 30, " 1T ": 1 << 40, "0": 0,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "K", "-1", "8Q", "64KB", "1.0001", "9999999T", "1e400", "8 K 8", "1..5K", "99999999999999999999"} {
		got, err := ParseSize(s)
		if err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		} else if !strings.Contains(err.Error(), "64KiB") {
			t.Errorf("ParseSize(%q): the error names no mend: %v", s, err)
		}
	}
	if _, err := ParseSize("64KB"); !strings.Contains(err.Error(), "KiB") {
		t.Errorf("64KB: %v", err)
	}
	if got, err := ParseSizes("1K, 1500,64KiB"); err != nil || len(got) != 3 || got[2] != 65536 {
		t.Errorf("ParseSizes: %v, %v", got, err)
	}
}

func TestParseOthers(t *testing.T) {
	for s, want := range map[string]float64{
		"1G": 1e9, "2.5 Gbit/s": 2.5e9, "700Mbit": 7e8, "1e9": 1e9, "100": 100, "9.41 Gb/s": 9.41e9, "10k": 1e4,
	} {
		if got, err := ParseBitRate(s); err != nil || got < want*0.999999 || got > want*1.000001 {
			t.Errorf("ParseBitRate(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "fast", "1GB/s", "1X", "-1G"} {
		if got, err := ParseBitRate(s); err == nil {
			t.Errorf("ParseBitRate(%q) = %v, want an error", s, got)
		}
	}
	for s, want := range map[string]time.Duration{"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond} {
		if got, err := ParseSeconds(s); err != nil || got != want {
			t.Errorf("ParseSeconds(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-3s", "soon", "NaN", "Inf", "1e300"} {
		if got, err := ParseSeconds(s); err == nil {
			t.Errorf("ParseSeconds(%q) = %v, want an error", s, got)
		}
	}
	for s, want := range map[string]float64{"5%": 0.05, "5 %": 0.05, "0.05": 0.05, "100%": 1} {
		if got, err := ParsePercent(s); err != nil || got != want {
			t.Errorf("ParsePercent(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "5", "-1%", "101%", "NaN"} {
		if got, err := ParsePercent(s); err == nil {
			t.Errorf("ParsePercent(%q) = %v, want an error", s, got)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<62).Draw(t, "bytes")
		for _, s := range []string{Size(n), SizeFlag(n)} {
			if got, err := ParseSize(s); err != nil || got != n {
				t.Fatalf("%d written as %q, read as %d, %v", n, s, got, err)
			}
		}
		r := rapid.Float64Range(1, 1e14).Draw(t, "rate")
		got, err := ParseBitRate(BitRate(r))
		if err != nil || got < r*0.994 || got > r*1.006 {
			t.Fatalf("%v written as %q, read as %v, %v", r, BitRate(r), got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"64KiB", "1.5G", "1e9", "5%", "1m30s", "", "9e99999", "64KB", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil && n < 0 {
			t.Errorf("ParseSize(%q) = %d", s, n)
		}
		if r, err := ParseBitRate(s); err == nil && !(r >= 0) {
			t.Errorf("ParseBitRate(%q) = %v", s, r)
		}
		if d, err := ParseSeconds(s); err == nil && d <= 0 {
			t.Errorf("ParseSeconds(%q) = %v", s, d)
		}
		if p, err := ParsePercent(s); err == nil && !(p >= 0 && p <= 1) {
			t.Errorf("ParsePercent(%q) = %v", s, p)
		}
	})
}
