package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Task names a process or thread so that a recycled number is told apart: no
// two tasks of one boot share both fields.
type Task struct {
	PID int `json:"pid"`
	// StartTicks is when it started, in clock ticks (USER_HZ) since boot: field 22
	// of /proc/PID/stat.
	StartTicks uint64 `json:"start_ticks"`
}

// Task looks the process or thread pid up. The error wraps fs.ErrNotExist
// where there is none.
func (r Root) Task(pid int) (Task, error) {
	b, err := os.ReadFile(filepath.Join(r.Proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return Task{}, fmt.Errorf("process %d: %w", pid, err)
	}
	start, err := parseStartTicks(string(b))
	if err != nil {
		return Task{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Task{PID: pid, StartTicks: start}, nil
}

// Alive reports whether the very task t still exists. A zombie counts as alive.
func (r Root) Alive(t Task) bool {
	now, err := r.Task(t.PID)
	return err == nil && now == t
}

// parseStartTicks reads field 22 of a stat line. The name in parentheses may
// itself hold blanks and parentheses: fields count from the last one.
func parseStartTicks(stat string) (uint64, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	if i < 0 || len(fields) < 20 {
		return 0, fmt.Errorf("stat line %.60q: too few fields", stat)
	}
	v, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stat line: start time %q is not a number", fields[19])
	}
	return v, nil
}
