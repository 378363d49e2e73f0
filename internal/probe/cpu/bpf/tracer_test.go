package bpf

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

func open(t testing.TB) *Tracer {
	t.Helper()
	online := make([]int, runtime.NumCPU())
	for i := range online {
		online[i] = i
	}
	tr, err := Load(Config{Online: online, PollingStates: 1})
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
