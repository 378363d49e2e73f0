package tui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/unit"
	"github.com/stackmeter/stackmeter/meter"
)

// Live shows how a run of the load generator goes: a few lines that are rewritten at each
// interval on a terminal, a line an interval elsewhere. Its methods may be called at once.
type Live struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	color    bool
	quiet    bool
	width    int
	config   meter.Config
	phase    string
	opened   time.Time // the window
	last     *meter.Interval
	past     []float64 // the main figure of each interval so far
	drawn    int       // lines that are on the screen
}

// NewLive writes to w, which may be a terminal.
func NewLive(w io.Writer, quiet bool, c meter.Config) *Live {
	l := &Live{w: w, quiet: quiet, width: 80, config: c}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			l.terminal, l.width = os.Getenv("TERM") != "dumb", int(size.Col)
			l.color = l.terminal && os.Getenv("NO_COLOR") == ""
		}
	}
	return l
}

// Event takes what [meter.Config.Watch] is told.
func (l *Live) Event(e meter.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet {
		return
	}
	switch {
	case e.Phase != "":
		l.phase = e.Phase
		if strings.HasPrefix(e.Phase, "window") {
			l.opened = time.Now()
		}
		// What is waited for is told at once; the rest is quick.
		if !l.terminal && strings.HasPrefix(e.Phase, "waiting") {
			fmt.Fprintln(l.w, e.Phase)
		}
	case e.Interval != nil:
		l.last = e.Interval
		l.past = append(l.past, l.main(e.Interval))
		if !l.terminal {
			at := fmt.Sprintf("%6.1f s  ", e.Interval.Start+e.Interval.Seconds)
			if l.config.Confidence > 0 {
				at = l.phase + at
			}
			fmt.Fprintln(l.w, at+strings.Join(l.figures(), "  "))
		}
	}
	if l.terminal {
		l.draw()
	}
}

// End clears what is rewritten.
func (l *Live) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *Live) clear() {
	if l.drawn > 0 {
		fmt.Fprintf(l.w, "\r\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}

func (l *Live) draw() {
	lines := []string{l.config.Workload + "  " + l.phase + l.left()}
	if l.last != nil {
		lines = append(lines, strings.Join(l.figures(), "  "), sparkline(l.past, max(l.width-1, 1)))
	}
	l.clear()
	for i, line := range lines {
		line = cutTo(line, l.width-1)
		if l.color && i == 1 {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		fmt.Fprintf(l.w, "%s\n", line)
	}
	l.drawn = len(lines)
}

// left is the time until the window closes.
func (l *Live) left() string {
	if l.opened.IsZero() || !strings.HasPrefix(l.phase, "window") {
		return ""
	}
	return ", " + unit.Remaining(l.config.Duration-time.Since(l.opened)) + " left"
}

// main is the figure that the sparkline shows.
func (l *Live) main(i *meter.Interval) float64 {
	if l.config.Answers() {
		return i.TransactionsPerSecond
	}
	return i.BitsPerSecond + i.ReverseBitsPerSecond
}

// figures are those of the last interval.
func (l *Live) figures() []string {
	i := l.last
	var out []string
	if l.config.Answers() {
		out = append(out, unit.Rate(i.TransactionsPerSecond))
	} else {
		out = append(out, unit.BitRate(i.BitsPerSecond))
		if i.ReverseBitsPerSecond > 0 {
			out = append(out, "back "+unit.BitRate(i.ReverseBitsPerSecond))
		}
	}
	if i.P99 > 0 {
		out = append(out, "p99 "+unit.Seconds(float64(i.P99)/1e9))
	}
	for k, u := range i.Utilization {
		name := "CPU "
		if len(i.Utilization) > 1 {
			name = fmt.Sprintf("CPU%d ", k+1)
		}
		out = append(out, name+unit.Percent(u))
	}
	return out
}

var sparks = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the last values, as many as there are columns, from 0 to the largest.
func sparkline(values []float64, columns int) string {
	values = values[max(0, len(values)-columns):]
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		at := 0
		if top > 0 {
			at = min(len(sparks)-1, int(max(v, 0)/top*float64(len(sparks))))
		}
		b.WriteRune(sparks[at])
	}
	return b.String()
}

func cutTo(s string, columns int) string {
	if columns > 0 && utf8.RuneCountInString(s) > columns {
		return string([]rune(s)[:columns])
	}
	return s
}
