package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// quota passes so many lines a period on to a log and sums up the rest at the
// period's end, so that nobody can fill a disk by being refused.
type quota struct {
	log    func(format string, args ...any)
	what   string // happened, in the summary
	lines  int
	period time.Duration

	mu    sync.Mutex
	began time.Time      // this period
	said  int            // lines in this period
	held  map[string]int // lines held back in this period, by cause
	sum   *time.Timer    // ends the period; nil between periods
}

func newQuota(log func(format string, args ...any), what string, lines int) *quota {
	return &quota{log: log, what: what, lines: lines, period: 10 * time.Second, held: map[string]int{}}
}

// say logs a line, or counts it.
func (q *quota) say(cause, format string, args ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sum == nil {
		q.began = time.Now()
		q.sum = time.AfterFunc(q.period, q.summarise)
	}
	if q.said >= q.lines {
		q.held[cause]++
		return
	}
	q.said++
	q.log(format, args...)
}

// summarise ends the period.
func (q *quota) summarise() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sum, q.said = nil, 0
	if len(q.held) == 0 {
		return
	}
	all := 0
	var causes []string
	for _, cause := range slices.Sorted(maps.Keys(q.held)) {
		all += q.held[cause]
		causes = append(causes, fmt.Sprintf("%d %s", q.held[cause], cause))
	}
	q.log("and %d more %s in the last %v (%s)", all, q.what, max(time.Second, time.Since(q.began).Round(time.Second)), strings.Join(causes, ", "))
	clear(q.held)
}

// end says what is held back. It comes after the last line.
func (q *quota) end() {
	q.mu.Lock()
	if q.sum != nil {
		q.sum.Stop()
	}
	q.mu.Unlock()
	q.summarise()
}
