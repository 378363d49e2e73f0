package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// TestMovedThreadIsAnError moves a pinned thread away during the run, as an administrator
// or another tool might: its figures must not be given out as those of the CPU that was asked for.
func TestMovedThreadIsAnError(t *testing.T) {
	cpus, err := sysx.Affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("one CPU: a thread can be moved nowhere")
	}
	r, s := serve(t, defaults()), serve(t, defaults())
	advance(t, r.Client, s.Client, "hello")
	receiver, sender := specs(1)
	receiver.CPUs = cpus[:1]
	ready, err := r.Prepare(t.Context(), receiver)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), sender); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- r.Connect(t.Context(), Connect{}) }()
	if err := s.Connect(t.Context(), Connect{To: ready.Addresses}); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{r.Client, s.Client} {
		if err := c.Go(t.Context(), Start{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Await(t.Context(), Await{Timeout: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	m := Measure{Window: load.Window{Length: 20 * time.Millisecond, Interval: 20 * time.Millisecond}}
	if _, err := r.Measure(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	// The load belongs to a child of this process: its threads can be found.
	if err := sysx.SetAffinity(threadOf(t, ready.PIDs[0], "sm-flow0"), cpus[1:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Measure(t.Context(), m, nil); err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("the thread was moved to CPU %d, and the measurement said: %v", cpus[1], err)
	}
}

// threadOf is the thread of a process that has a name.
func threadOf(t *testing.T, pid int, name string) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/comm", pid, task.Name()))
		if tid, _ := strconv.Atoi(task.Name()); err == nil && strings.TrimSpace(string(comm)) == name {
			return tid
		}
	}
	t.Fatalf("process %d has no thread %s", pid, name)
	return 0
}
