// Package tui shows progress: one line that is rewritten on a terminal, plain
// lines elsewhere. It honours NO_COLOR and never writes to standard output, which
// is for results.
package tui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Progress is a line that tells how far something is. It is used by one
// goroutine.
type Progress struct {
	w        io.Writer
	terminal bool
	width    int
	began    time.Time
	last     time.Time
	quiet    bool
}

// plainEvery is how often a line is written where there is no terminal.
const plainEvery = 10 * time.Second

// NewProgress writes to w, which may be a terminal.
func NewProgress(w io.Writer, quiet bool) *Progress {
	p := &Progress{w: w, width: 80, began: time.Now(), quiet: quiet}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			p.terminal, p.width = os.Getenv("TERM") != "dumb", int(size.Col)
		}
	}
	return p
}

// Step tells that done of total steps are done, what comes now and how long the
// rest will take.
func (p *Progress) Step(done, total int, now string, left time.Duration) {
	if p.quiet {
		return
	}
	text := fmt.Sprintf("%d/%d", done, total)
	if left > 0 {
		text += ", " + Short(left) + " left"
	}
	if now != "" {
		text += "  " + now
	}
	switch {
	case p.terminal:
		line := bar(done, total, 20) + " " + text
		if r := []rune(line); len(r) >= p.width && p.width > 1 {
			line = string(r[:p.width-1])
		}
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	case done == 0 || done == total || time.Since(p.last) >= plainEvery:
		fmt.Fprintln(p.w, text)
		p.last = time.Now()
	}
}

// Note writes a line that stays.
func (p *Progress) Note(format string, args ...any) {
	if p.quiet {
		return
	}
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

// End clears the line that is rewritten.
func (p *Progress) End() {
	if p.terminal && !p.quiet {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func bar(done, total, width int) string {
	full := 0
	if total > 0 {
		full = min(width, done*width/total)
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
}

// Short is a duration for people: "4 s", "2 min 10 s", "1 h 5 min".
func Short(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
