package lock

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

// TestContendedFile has threads write to one file, whose inode's lock each holds for
// milliseconds, and looks for that lock.
func TestContendedFile(t *testing.T) {
	tr, err := Open()
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	names, err := symbol.ReadKernel()
	if err != nil {
		t.Skip(err)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			buf := make([]byte, 8<<20)
			for range 20 {
				if _, err := f.WriteAt(buf, 0); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	window := time.Since(began)
	if err := tr.Stop(); err != nil {
		t.Fatal(err)
	}
	sites, lost, err := tr.Read(names)
	if err != nil {
		t.Fatal(err)
	}
	if len(sites) == 0 {
		t.Fatal("no lock was waited for")
	}
	found := false
	for i, s := range sites {
		if i < 8 {
			t.Logf("%-12s %-28s %-30s %6d waits, %8v, longest %v", s.Kind, s.Function, s.Caller, s.Count, s.Total, s.Longest)
		}
		if s.Count == 0 || s.Longest > s.Total || s.Longest > window {
			t.Errorf("%+v", s)
		}
		inWrite := slices.ContainsFunc(s.Stack, func(f string) bool { return strings.Contains(f, "write_iter") })
		found = found || inWrite && strings.HasPrefix(s.Function, "down_write") && s.Longest > 100*time.Microsecond
	}
	if !found {
		t.Error("the file's lock, taken by down_write in writing, was not waited for")
	}
	if lost.Waits > 0 {
		t.Errorf("%d waits lost", lost.Waits)
	}
}

func TestSplitFindsTheCaller(t *testing.T) {
	for _, tc := range []struct{ stack, function, caller string }{
		{"bpf_prog_1_lock_contention_begin;bpf_trace_run2;__traceiter_contention_begin;__pv_queued_spin_lock_slowpath;_raw_spin_lock_bh;lock_sock_nested;tcp_recvmsg", "_raw_spin_lock_bh", "lock_sock_nested"},
		{"bpf_trace_run2;rwsem_down_write_slowpath;down_write;open_last_lookups", "down_write", "open_last_lookups"},
		{"tcp_recvmsg", "not known", "tcp_recvmsg"},
	} {
		function, rest := split(strings.Split(tc.stack, ";"))
		if function != tc.function || rest[0] != tc.caller {
			t.Errorf("%s: %s called by %s, want %s by %s", tc.stack, function, rest[0], tc.function, tc.caller)
		}
	}
}

func TestKind(t *testing.T) {
	for flags, want := range map[uint32]string{0: "semaphore", 1: "spin", 1 | 2: "spin-read", 4: "write", 32: "mutex", 1 | 32: "spin-mutex"} {
		if got := kind(flags); got != want {
			t.Errorf("flags %d: %s, want %s", flags, got, want)
		}
	}
}
