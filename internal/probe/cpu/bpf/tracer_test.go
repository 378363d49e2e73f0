package bpf

import (
	"errors"
	"math"
	"os"
	"runtime"
	"testing"
	"time"
)

func open(t testing.TB, without ...string) *Tracer {
	t.Helper()
	online := make([]int, runtime.NumCPU())
	for i := range online {
		online[i] = i
	}
	tr, err := Load(Config{Online: online, PollingStates: 1, without: without})
	if errors.Is(err, ErrPermission) || errors.Is(err, ErrNoBTF) {
		t.Skip("needs root and a kernel with BTF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func TestEveryCPUClosesFromTheStart(t *testing.T) {
	tr := open(t)
	a, err := tr.Read()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	b, err := tr.Read()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(tr.Tracepoints(), len(b.Procs), "entries")
	for n := range runtime.NumCPU() {
		if !a.CPUs[n].Seen {
			t.Errorf("CPU %d has no state after Load", n)
			continue
		}
		var sum int64
		for i := range Classes {
			sum += b.CPUs[n].NS[i] - a.CPUs[n].NS[i]
		}
		if sum != b.Time-a.Time {
			t.Errorf("CPU %d: classes sum to %d ns of %d", n, sum, b.Time-a.Time)
		}
		t.Logf("CPU %d: %v, %d events", n, b.CPUs[n].NS, b.CPUs[n].Events)
	}
}

// TestMissedEventsAreInferred compares a tracer that sees everything with one that
// sees neither switches nor the idle loop, over a load that sleeps and burns. (With
// more than one load the blind one cannot know who ran between two events.)
func TestMissedEventsAreInferred(t *testing.T) {
	full, blind := open(t), open(t, "sched_switch", "cpu_idle")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
			}
			for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
			}
		}
	}()
	read := func() (s [2]*Snapshot) {
		for i, tr := range []*Tracer{full, blind} {
			var err error
			if s[i], err = tr.Read(); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	a := read()
	time.Sleep(500 * time.Millisecond)
	b := read()
	close(stop)
	<-done
	var others float64 // milliseconds
	for k, p := range b[0].Procs {
		if k.TGID != os.Getpid() {
			others += float64(p.NS[Task]-a[0].Procs[k].NS[Task]) / 1e6
		}
	}
	if others > 25 {
		t.Skipf("the machine is too busy to judge: others used %.0f ms of 500", others)
	}
	var missed uint64
	for n := range runtime.NumCPU() {
		missed += b[1].CPUs[n].Missed - a[1].CPUs[n].Missed
		// the idle task's own work falls to what lay before or after it
		idleBusy := float64(b[0].CPUs[n].NS[IdleBusy]-a[0].CPUs[n].NS[IdleBusy]) / 1e6
		for _, class := range []Class{Task, Halted} {
			var ms [2]float64
			for i := range ms {
				ms[i] = float64(b[i].CPUs[n].NS[class]-a[i].CPUs[n].NS[class]) / 1e6
			}
			t.Logf("CPU %d class %d: %.1f ms, inferred %.1f", n, class, ms[0], ms[1])
			if math.Abs(ms[0]-ms[1]) > 15+idleBusy { // 3 % of the window
				t.Errorf("CPU %d class %d: %.1f ms, inferred %.1f", n, class, ms[0], ms[1])
			}
		}
	}
	if missed == 0 {
		t.Error("the blind tracer missed nothing")
	}
}
