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

// Parent is the parent process: field 4 of /proc/PID/stat.
func (r Root) Parent(pid int) (int, error) {
	b, err := os.ReadFile(filepath.Join(r.Proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	parent, err := statField(string(b), 4)
	return int(parent), err
}

func parseStartTicks(stat string) (uint64, error) { return statField(stat, 22) }

// statField reads a field of a stat line that is no negative number, counted
// from 1 as in proc(5). The name in parentheses may itself hold blanks and parentheses:
// fields count from the last one.
func statField(stat string, number int) (uint64, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	const first = 3 // the state, behind the name
	if i < 0 || len(fields) <= number-first {
		return 0, fmt.Errorf("stat line %.60q: too few fields", stat)
	}
	v, err := strconv.ParseUint(fields[number-first], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stat line: field %d, %q, is not a number", number, fields[number-first])
	}
	return v, nil
}
