package tui

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stackmeter/stackmeter/meter"
)

// told is a run of two intervals.
func told(l *Live) {
	l.Event(meter.Event{Phase: "connecting"})
	l.Event(meter.Event{Phase: "window 1"})
	l.Event(meter.Event{Interval: &meter.Interval{Start: 0, Seconds: 1, TransactionsPerSecond: 12900, P99: 134000, Utilization: []float64{0.578, 0.1}}})
	l.Event(meter.Event{Interval: &meter.Interval{Start: 1, Seconds: 1, TransactionsPerSecond: 6450, P99: 250000, Utilization: []float64{0.3, 0.1}}})
	l.End()
}

func TestLiveOnATerminal(t *testing.T) {
	for _, noColor := range []string{"", "1"} {
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", noColor)
		master, terminal := pty(t, 40)
		told(NewLive(terminal, false, meter.Config{Workload: "tcp_rr", Duration: 10 * time.Second}))
		got := drawn(t, master, terminal)
		if strings.Contains(got, "\x1b[1m") == (noColor != "") {
			t.Errorf("NO_COLOR=%q: drawn %q", noColor, got)
		}
		frames := strings.Split(got, "\x1b[J")
		if last := frames[len(frames)-1]; last != "" {
			t.Errorf("the end leaves %q", last)
		}
		frame := strings.Split(strings.ReplaceAll(frames[len(frames)-2], "\r", ""), "\n")
		if len(frame) != 4 || !strings.HasPrefix(frame[0], "tcp_rr  window 1, 10s left") || !strings.Contains(frame[1], "6.45 k/s  p99 250 us  CPU1 30.0 %") || frame[2] != "█▅" {
			t.Errorf("the last frame is %q", frame)
		}
		for _, line := range frame {
			if n := utf8.RuneCountInString(strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(line)); n > 39 && !strings.HasPrefix(line, "\x1b[3A") {
				t.Errorf("a line of %d columns on 40: %q", n, line)
			}
		}
	}
}

func TestLiveElsewhere(t *testing.T) {
	var b bytes.Buffer
	c := meter.Config{Workload: "tcp_rr", Duration: 10 * time.Second}
	told(NewLive(&b, false, c))
	if want := "   1.0 s  12.9 k/s  p99 134 us  CPU1 57.8 %  CPU2 10.0 %\n   2.0 s  6.45 k/s  p99 250 us  CPU1 30.0 %  CPU2 10.0 %\n"; b.String() != want {
		t.Errorf("written %q, want %q", b.String(), want)
	}
	b.Reset()
	c.Confidence = 0.95
	told(NewLive(&b, false, c))
	if !strings.HasPrefix(b.String(), "window 1   1.0 s") {
		t.Errorf("written %q", b.String())
	}
	b.Reset()
	told(NewLive(&b, true, c))
	if b.Len() > 0 {
		t.Errorf("quiet, and yet %q", b.String())
	}
}

func TestSparkline(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   string
	}{{nil, ""}, {[]float64{0, 0}, "▁▁"}, {[]float64{0, 1, 2, 4, 8}, "▂▃▅█"}, {[]float64{9, 1, 1, 1, 1}, "████"}} {
		if got := sparkline(tc.values, 4); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.values, got, tc.want)
		}
	}
}
