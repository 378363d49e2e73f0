package knob

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// thread is the affinity of one thread.
type thread struct {
	root host.Root
	task host.Task
	name string
}

// Thread is the CPUs on which a thread may run, as a list. The thread is known by
// its start time too: another one that got the same number later is never
// touched (its knob gives unix.ESRCH).
func Thread(root host.Root, t host.Task) Knob { return &thread{root, t, "thread-affinity"} }

func (t *thread) Info() Info {
	return Info{
		Kind: "thread", Key: fmt.Sprintf("%d:%d", t.task.PID, t.task.StartTicks), Name: t.name,
		Target: fmt.Sprintf("thread %d", t.task.PID), Mechanism: "sched_setaffinity", Doc: "CPUs on which the thread may run",
	}
}

func (t *thread) Canonical(v string) (string, error) {
	c, err := canonSome(v)
	if err != nil {
		return "", fmt.Errorf("affinity of thread %d: %w", t.task.PID, err)
	}
	return c, nil
}

func (t *thread) check() error {
	if !t.root.Alive(t.task) {
		return fmt.Errorf("thread %d that started at tick %d: %w", t.task.PID, t.task.StartTicks, unix.ESRCH)
	}
	return nil
}

func (t *thread) Read() (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	cpus, err := sysx.Affinity(t.task.PID)
	return host.CPUList(cpus).String(), err
}

func (t *thread) Write(v string) error {
	if err := t.check(); err != nil {
		return err
	}
	cpus, err := host.ParseCPUList(v)
	if err != nil {
		return err
	}
	return sysx.SetAffinity(t.task.PID, cpus)
}

func (t *thread) Command(v string) string { return fmt.Sprintf("taskset -pc %s %d", v, t.task.PID) }

func openThread(r host.Root, key string) (Knob, error) {
	var t host.Task
	if _, err := fmt.Sscanf(key, "%d:%d", &t.PID, &t.StartTicks); err != nil {
		return nil, fmt.Errorf("%q is no PID:START", key)
	}
	return Thread(r, t), nil
}
