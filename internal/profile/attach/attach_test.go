package attach

import (
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// program returns at once, if it is one that the verifier takes.
func program(valid bool) *ebpf.ProgramSpec {
	in := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	if !valid {
		in = asm.Instructions{asm.LoadMem(asm.R0, asm.R5, 0, asm.DWord), asm.Return()} // R5 holds nothing
	}
	return &ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: in, License: "GPL"}
}

func TestPassesAndWhatIsMissing(t *testing.T) {
	s, err := Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"one_sched_switch": program(true), "one_nosuch": program(true), "two_sched_wakeup": program(true), "two_softirq_entry": program(false),
	}})
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	missing := map[string]string{}
	for _, m := range s.Missing() {
		missing[m.Pass+" "+m.Tracepoint] = m.Reason
	}
	if len(missing) != 2 || !strings.Contains(missing["one nosuch"], "no such tracepoint") || !strings.Contains(missing["two softirq_entry"], "refuses") {
		t.Errorf("missing: %v", missing)
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Skip(err)
	}
	defer stats.Close()
	runs := func() (one, two uint64) {
		c, err := s.Cost()
		if err != nil {
			t.Fatal(err)
		}
		return c["one_sched_switch"].Runs, c["two_sched_wakeup"].Runs
	}
	for range 2 {
		if err := s.Attach("one"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if err := s.Detach(); err != nil {
			t.Fatal(err)
		}
	}
	one, two := runs()
	if one == 0 || two != 0 {
		t.Errorf("the pass that was on ran %d times, the other %d", one, two)
	}
	time.Sleep(50 * time.Millisecond)
	if after, _ := runs(); after != one {
		t.Errorf("%d runs after it was switched off", after-one)
	}
}

func TestNothingThatThisKernelTakes(t *testing.T) {
	_, err := Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"one_nosuch": program(true)}})
	if !host.IsNotSupported(err) || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("error %v", err)
	}
}
