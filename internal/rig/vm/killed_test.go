package vm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// holdGuest runs a guest until it is killed.
func holdGuest() int {
	_, err := vm.Run(context.Background(), vm.Config{CPUs: 1}, vm.Command{Env: []string{selfexec.Environment(waitRole)}, Stdout: os.Stdout, Stderr: os.Stderr})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// child is the process of that name whose parent is pid, 0 if there is none.
func child(t *testing.T, pid int, name string) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue // it ended
		}
		head, tail, _ := strings.Cut(string(b), ") ")
		number, comm, _ := strings.Cut(head, " (")
		if f := strings.Fields(tail); len(f) > 1 && f[1] == strconv.Itoa(pid) && f[0] != "Z" && strings.HasPrefix(comm, name) {
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// TestKilled kills the process that runs a guest: QEMU ends too.
func TestKilled(t *testing.T) {
	needGuest(t)
	cmd := selfexec.Command(t.Context(), holdRole, "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var qemu int
	for deadline := time.Now().Add(time.Minute); qemu == 0; time.Sleep(20 * time.Millisecond) {
		if qemu = child(t, cmd.Process.Pid, "qemu-system"); qemu == 0 && time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatal("QEMU did not start")
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", qemu))
		if err != nil || !strings.HasPrefix(string(b), "qemu-system") {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(qemu, syscall.SIGKILL)
			t.Fatalf("QEMU, process %d, outlives the process that started it", qemu)
		}
	}
}
