package load

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/hist"
)

// threads is how many threads a worker's part of a spec runs on.
func threads(s *Spec) int {
	if s.Model != Epoll {
		return s.FlowCount()
	}
	return min(max(1, s.Threads), s.FlowCount())
}

// timed reports whether a worker keeps histograms: the end that begins something
// does, where its latency means something.
func timed(s *Spec) bool {
	if s.Role == Client && (s.Workload == "rr" || s.Workload == "crr") {
		return true
	}
	for i := range s.Flows {
		if s.Flows[i].Rate > 0 {
			return true
		}
	}
	return false
}

// thread starts the threads of the flows and waits until each has its place; goroutines where
// the engine is resident.
func (w *worker) thread() error {
	spec := &w.prepare.Spec
	n := threads(spec)
	errs := make([]error, n)
	var ready sync.WaitGroup
	for i := range n {
		var flows []*Flow
		for k := i; k < len(w.flows); k += n {
			flows = append(flows, w.flows[k])
		}
		cpu := -1
		switch {
		case len(spec.CPUs) > 0:
			cpu = spec.CPUs[(w.prepare.Thread+i)%len(spec.CPUs)]
		case spec.Model != Epoll:
			cpu = flows[0].spec.CPU
		}
		var latency *hist.Hist
		if len(w.prepare.Hists) > 0 {
			latency = w.table.hists[w.prepare.Hists[i]]
		}
		ready.Add(1)
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			if w.stacked != nil {
				w.run(flows, latency, &errs[i], &ready)
				return
			}
			runtime.LockOSThread() // never unlocked: the thread ends with its flows
			name := fmt.Sprintf("sm-flow%d", flows[0].id)
			errs[i] = errors.Join(alone(name, cpu))
			w.run(flows, latency, &errs[i], &ready)
			w.ended.Do(w.stepForward)
		}()
	}
	ready.Wait()
	if w.stacked != nil {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, w.stepBack())...)
}

// run runs flows on the calling thread from the common start until they end. It sets err
// until it is ready, and not later.
func (w *worker) run(flows []*Flow, latency *hist.Hist, err *error, ready *sync.WaitGroup) {
	spec := &w.prepare.Spec
	workload := Workloads[spec.Workload]
	t := turn(workload.Client)
	if spec.Role == Server {
		t = workload.Server
	}
	b := newBuffers(flows, latency)
	var p Poller
	if flows[0].polled {
		poller, perr := w.engine.Poller()
		if perr != nil {
			*err = errors.Join(*err, perr)
			ready.Done()
			return
		}
		p = poller
		defer p.Close()
	}
	for _, f := range flows {
		f.use(b)
		f.setTID(w.tid())
		f.setState(Connected)
	}
	ready.Done()
	<-w.start
	runtime.LockOSThread()
	promptly(func() {
		clock.SleepUntil(w.at)
		now := clock.Now()
		for i, f := range flows {
			f.begins(now, f.period*int64(i)/int64(len(flows)))
		}
	})
	runtime.UnlockOSThread()
	if p == nil {
		f := flows[0]
		f.end(faultOf(spec)(f.block(t)))
		if spec.Role == workload.First() {
			f.Abort() // the other end sees the end of the stream
		}
		return
	}
	if lerr := newLoop(t, p, flows, faultOf(spec)).run(); lerr != nil {
		errno, _ := errors.AsType[unix.Errno](lerr)
		for _, f := range flows {
			if state, _ := f.State(); state != Ended {
				f.end(max(errno, 1))
			}
		}
	}
}

// tid is the thread that the calling goroutine is bound to; of flows that are bound to none, the
// process.
func (w *worker) tid() int {
	if w.stacked != nil {
		return os.Getpid()
	}
	return unix.Gettid()
}

// stepBack gives every thread of this process but the flows' the policy
// SCHED_IDLE. The runtime's monitor thread wakes 100 times a second for as long as a
// hot loop holds a processor; at the normal policy it preempts the loop each time,
// which cost 1 to 4 % of throughput on a virtual machine.
func (w *worker) stepBack() error {
	hot := map[int]bool{}
	for _, f := range w.flows {
		hot[f.TID()] = true
	}
	return eachThread(func(tid int) error {
		if hot[tid] {
			return nil
		}
		if err := schedule(tid, unix.SCHED_IDLE); err != nil {
			return fmt.Errorf("give thread %d the policy SCHED_IDLE: %w", tid, err)
		}
		return nil
	})
}

// stepForward undoes stepBack when a flow has ended, so that what is told of it does not wait
// for an idle CPU. Without privileges the kernel may refuse it, and it waits.
func (w *worker) stepForward() {
	_ = eachThread(func(tid int) error { return schedule(tid, unix.SCHED_NORMAL) })
}

func schedule(tid int, policy uint32) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}
	return unix.SchedSetAttr(tid, &attr, 0)
}

// alone prepares the calling thread for a hot loop on a CPU (-1: any). It gets a table of
// descriptors of its own: a system call of a process with several threads counts a
// reference on the file up and down, one with a table to itself does not (fdget in
// fs/file.c). The sockets are shared with the copy; the thread must end with its flows.
func alone(name string, cpu int) error {
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return fmt.Errorf("unshare the descriptor table of thread %s: %w", name, err)
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(name+"\x00"))), 0, 0, 0); err != nil {
		return fmt.Errorf("name the thread %s: %w", name, err)
	}
	if cpu < 0 {
		return nil
	}
	return pin(0, []int{cpu})
}

// spareFiles are descriptors of a process beside its flows'.
const spareFiles = 128

// filesOfProcess is how many flows one process may have descriptors for.
func filesOfProcess() (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return max(1, int(min(l.Max, 1<<20))-spareFiles), nil
}

// allowFiles makes room for the descriptors of some flows, in every thread's table.
func allowFiles(flows int) error {
	need := uint64(flows + spareFiles)
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur >= need {
		return err
	}
	want := unix.Rlimit{Cur: need, Max: max(need, l.Max)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("%d flows need %d open files, the limit is %d: raise it with `ulimit -n %d` (%w)", flows, need, l.Max, need, err)
	}
	return nil
}
