package cpu

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary started with this variable is a burner: "busy/period" as
// durations, on the CPU given after it.
const burnEnv = "STACKMETER_TEST_BURN"

func TestMain(m *testing.M) {
	if spec := os.Getenv(burnEnv); spec != "" {
		burn(spec)
		return
	}
	if os.Getenv(plainEnv) != "" {
		os.Exit(plain())
	}
	goleak.VerifyTestMain(m)
}

func burn(spec string) {
	var busy, period time.Duration
	var cpu int
	if _, err := fmt.Sscan(spec, &busy, &period, &cpu); err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	for next := time.Now(); ; next = next.Add(period) {
		for time.Since(next) < busy {
		}
		time.Sleep(time.Until(next.Add(period)))
	}
}

// burner starts a burner and returns its process.
func burner(t *testing.T, busy, period time.Duration, cpu int) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", burnEnv, busy, period, cpu), "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal("burner: ", err)
	}
	return cmd.Process.Pid
}

// cpuClock is the CPU time of a process so far, exact to the nanosecond.
func cpuClock(t *testing.T, pid int) float64 {
	t.Helper()
	var ts unix.Timespec
	// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED), include/linux/posix-timers_types.h
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		t.Fatal(err)
	}
	return float64(ts.Nano()) / 1e9
}
