package cpu

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

func TestSoftIRQIsAttributedToTheProcessItRanOver(t *testing.T) {
	p := open(t, SourceBPF)
	sink, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	source, err := net.Dial("udp4", sink.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	a := mark(t, p)
	message := make([]byte, 1024)
	sent := 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); sent++ {
		if _, err := source.Write(message); err != nil {
			t.Fatal(err)
		}
	}
	b := mark(t, p)
	for _, proc := range Processes(a, b) {
		if proc.PID != os.Getpid() {
			continue
		}
		t.Logf("%d datagrams: %+v", sent, proc)
		// Loopback delivers in NET_RX_SOFTIRQ at the end of each send: some 1 us each.
		if least := float64(sent) * 200e-9; proc.SoftIRQ < least {
			t.Errorf("softirq %.4f s over the sender for %d datagrams, want at least %.4f", proc.SoftIRQ, sent, least)
		}
		if proc.Task < proc.SoftIRQ/4 {
			t.Errorf("task %.4f s beside softirq %.4f s: softirq swallows the task", proc.Task, proc.SoftIRQ)
		}
		return
	}
	t.Error("the sender is not among the processes")
}

// lastCPU is a CPU that the test may take on and off; it is online at the end.
func lastCPU(t *testing.T) (cpu, count int, set func(string)) {
	t.Helper()
	dir, err := knob.Dir(host.Live())
	if err != nil {
		t.Fatal(err)
	}
	release, err := knob.Exclusive(t.Context(), dir, func(pid int) { t.Logf("waiting for process %d, which is measuring", pid) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	stat, err := readStat("/proc")
	if err != nil {
		t.Fatal(err)
	}
	cpus := stat.Online()
	cpu = cpus[len(cpus)-1]
	control := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", cpu)
	if cpu == 0 || os.WriteFile(control, []byte("1"), 0) != nil {
		t.Skipf("CPU %d cannot be taken offline here", cpu)
	}
	set = func(v string) {
		if err := os.WriteFile(control, []byte(v), 0); err != nil {
			t.Errorf("CPU %d: %v; echo 1 > %s", cpu, err, control)
		}
	}
	t.Cleanup(func() { set("1") })
	return cpu, len(cpus), set
}

// TestCPUThatIsOffline is about a window that a CPU is off for all of: it is none
// of the machine's then, and nothing runs on it.
func TestCPUThatIsOffline(t *testing.T) {
	p := open(t, SourceBPF)
	n, count, set := lastCPU(t)
	set("0")
	a := mark(t, p)
	time.Sleep(150 * time.Millisecond)
	b := mark(t, p)
	set("1")
	c, _, err := Usage(a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Online != count-1 || len(c.PerCPU) != count-1 || c.ClosureError > 0.005 {
		t.Errorf("with CPU %d of %d offline: %+v", n, count, c)
	}
	if c.Groups["kernel"] > 0.5*c.WindowSeconds {
		t.Errorf("kernel threads used %.3f s of %.3f: the offline CPU's are among them", c.Groups["kernel"], c.WindowSeconds)
	}
	for _, proc := range Processes(a, b) {
		if s, ok := proc.On(n); ok && s > 0 {
			t.Errorf("%s used %.3f s of a CPU that was offline", proc.Comm, s)
		}
	}
}

func TestHotplugInTheWindow(t *testing.T) {
	p := open(t, SourceBPF)
	n, count, set := lastCPU(t)
	a := mark(t, p)
	set("0")
	time.Sleep(100 * time.Millisecond)
	set("1")
	time.Sleep(100 * time.Millisecond)
	b := mark(t, p)
	c, warnings, err := Usage(a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %v", c, warnings)
	if !strings.Contains(codes(warnings), "cpus-changed") {
		t.Errorf("warnings %q, want cpus-changed", codes(warnings))
	}
	if c.ClosureError > 0.005 {
		t.Errorf("closure error %.4f", c.ClosureError)
	}
	for _, x := range c.PerCPU {
		if x.CPU == n && seconds(x) > c.WindowSeconds-0.09 {
			t.Errorf("CPU %d accounts for %.3f s of %.3f though it was offline for 0.1", n, seconds(x), c.WindowSeconds)
		}
	}
	// and it is followed again
	a = mark(t, p)
	time.Sleep(50 * time.Millisecond)
	b = mark(t, p)
	if c, _, err = Usage(a, b, nil); err != nil || c.Online != count || c.ClosureError > 0.005 {
		t.Errorf("afterwards: %+v, %v", c, err)
	}
}

func TestProcessesThatEndedAreForgottenButCounted(t *testing.T) {
	p := open(t, SourceBPF)
	p.forgetAt = 1
	a := mark(t, p)
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.ProcessState.Pid()
	find := func(a, b Mark) (s float64) {
		for _, proc := range Processes(a, b) {
			if proc.PID == pid {
				s += proc.Seconds()
			}
		}
		return s
	}
	b := mark(t, p)
	rusage := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if s := find(a, b); s < rusage/2 || s == 0 {
		t.Errorf("a child that used %.4f s counts %.4f", rusage, s)
	}
	if s := find(b, mark(t, p)); s != 0 {
		t.Errorf("a child that ended counts %.4f s afterwards", s)
	}
}

// The unprivileged child of TestWithoutRoot.
const plainEnv = "STACKMETER_TEST_PLAIN"

func plain() int {
	p, missing, err := Open(context.Background(), Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	a, err := p.Mark()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) != nil || ts.Nano() > 3e8 {
			break
		}
	}
	b, err := p.Mark()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c, ws, err := Usage(a, b, func(pid int, _ string, _ bool) string {
		if pid == os.Getpid() {
			return "server"
		}
		return ""
	})
	fmt.Println(p.Source(), missing, codes(ws), err)
	// two points of 10 ms at the edges, and a tick of the run time
	if s := c.Groups["server"]; s < 0.25 || s > 0.5 || c.Utilization <= 0 {
		fmt.Printf("wrong: %+v\n", c)
		return 1
	}
	return 0
}

func TestWithoutRoot(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), plainEnv+"=1")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else if _, _, err := Open(t.Context(), Options{Want: SourceBPF}); err == nil {
		t.Skip("has the capabilities for BPF")
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out, []byte(SourceProcStatIdle)) || !bytes.Contains(out, []byte("run as root")) {
		t.Error("want proc-stat-idle, and the mend for bpf")
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	_, _, err := Open(t.Context(), Options{Want: "vmstat"})
	if err == nil || !strings.Contains(err.Error(), "the sources are bpf") {
		t.Errorf("unknown source: %v", err)
	}
	_, missing, err := Open(t.Context(), Options{Proc: t.TempDir()})
	if err == nil || len(missing) != 3 {
		t.Errorf("no procfs: %v, %v", missing, err)
	}
	root := t.TempDir()
	fixture, _ := os.ReadFile("testdata/stat-linux-6.18")
	for name, content := range map[string]string{"stat": string(fixture), "cmdline": "quiet nohz=off\n"} {
		if err := os.WriteFile(root+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = Open(t.Context(), Options{Proc: root, Want: SourceProcStatIdle})
	if err == nil || !strings.Contains(err.Error(), "nohz=off") {
		t.Errorf("periodic tick: %v", err)
	}
}
