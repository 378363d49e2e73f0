package memcopy

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestARM64 builds this package's tests for arm64 and runs them under user-mode
// QEMU: correctness of the portable routines on another architecture.
func TestARM64(t *testing.T) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		t.Skip("runs on linux/amd64 only: elsewhere these tests run natively")
	}
	if testing.Short() || raceEnabled {
		t.Skip("builds a second test binary: not with -short or -race")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static not found; install qemu-user-static to run the arm64 tests")
	}
	bin := filepath.Join(t.TempDir(), "memcopy.test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(qemu, bin, "-test.short", "-test.v").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out[max(0, len(out)-300):])
}
