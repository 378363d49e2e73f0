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

// TestContendedDirectory has threads create files in one directory, whose inode's lock
// they must wait for, and looks for that lock.
func TestContendedDirectory(t *testing.T) {
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
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := filepath.Join(dir, string(rune('a'+i)))
			for time.Since(began) < 400*time.Millisecond {
				if os.WriteFile(name, nil, 0o600) == nil {
					_ = os.Remove(name)
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
	for _, s := range sites[:min(8, len(sites))] {
		t.Logf("%-12s %-28s %-30s %6d waits, %8v, longest %v", s.Kind, s.Function, s.Caller, s.Count, s.Total, s.Longest)
		if s.Count == 0 || s.Longest > s.Total || s.Total > 8*window+time.Duration(s.Count)*time.Millisecond {
			t.Errorf("%+v", s)
		}
		isDir := slices.ContainsFunc(s.Stack, func(f string) bool {
			return strings.Contains(f, "openat") || strings.Contains(f, "unlink")
		})
		found = found || isDir && strings.HasPrefix(s.Function, "down_write")
	}
	if !found {
		t.Error("the directory's lock, taken by down_write in opening or unlinking, is not among the longest waits")
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
