package tui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty opens a pseudo-terminal of the given width: what is written to the terminal is read from
// the master.
func pty(t *testing.T, width uint16) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this system gives no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this system shows no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// drawn is all that was written to terminal, which the kernel may hand over in pieces. It
// closes terminal; reading its master then ends with EIO.
func drawn(t *testing.T, master, terminal *os.File) string {
	t.Helper()
	// Closing discards nothing that was written: the line discipline has passed it on.
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	return string(b)
}

func TestProgressOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	master, terminal := pty(t, 60)
	p := NewProgress(terminal, false)
	p.Step(5, 10, "affinity affinity=both,message_size=8192,nics=2,unpinned=scatter", 70*time.Second)
	p.Note("trial 6 failed")
	p.Step(10, 10, "", 0)
	p.End()
	got := drawn(t, master, terminal)
	lines := strings.Split(got, "\r\x1b[K")
	if len(lines) != 5 || lines[0] != "" || lines[4] != "" {
		t.Fatalf("drawn %q", got)
	}
	if n := len(lines[1]); n != 59 || !strings.HasPrefix(lines[1], "[==========          ] 5/10, 1 min 10 s left  affinity ") {
		t.Errorf("a step of %d columns: %q", n, lines[1])
	}
	if lines[2] != "trial 6 failed\r\n" { // the terminal adds the carriage return
		t.Errorf("a note: %q", lines[2])
	}
	if !strings.HasPrefix(lines[3], "[====================] 10/10") {
		t.Errorf("the last step: %q", lines[3])
	}
}

func TestProgressOnADumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	master, terminal := pty(t, 80)
	p := NewProgress(terminal, false)
	p.Step(0, 2, "one", 2*time.Second)
	p.End()
	if got := drawn(t, master, terminal); got != "0/2, 2 s left  one\r\n" {
		t.Errorf("drawn %q", got)
	}
}

// TestProgressElsewhere wants plain lines, few of them, and none where it is quiet.
func TestProgressElsewhere(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, false)
	for i := range 100 {
		p.Step(i, 100, fmt.Sprintf("cell %d", i), time.Minute)
	}
	p.Note("note %d", 7)
	p.Step(100, 100, "", 0)
	p.End()
	if got, want := b.String(), "0/100, 1 min 0 s left  cell 0\nnote 7\n100/100\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	b.Reset()
	p = NewProgress(&b, true)
	p.Step(0, 1, "x", 0)
	p.Note("y")
	p.End()
	if b.Len() > 0 {
		t.Errorf("quiet, and yet %q", b.String())
	}
}

func TestBar(t *testing.T) {
	for _, tc := range []struct {
		done, total int
		want        string
	}{
		{0, 0, "[    ]"}, {0, 3, "[    ]"}, {1, 3, "[=   ]"}, {3, 3, "[====]"}, {9, 3, "[====]"},
	} {
		if got := bar(tc.done, tc.total, 4); got != tc.want {
			t.Errorf("%d of %d: %s, want %s", tc.done, tc.total, got, tc.want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1400 * time.Millisecond: "1 s", 59600 * time.Millisecond: "1 min 0 s",
		130 * time.Second: "2 min 10 s", 65 * time.Minute: "1 h 5 min", 60*time.Minute - 400*time.Millisecond: "1 h 0 min",
	} {
		if got := Short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
