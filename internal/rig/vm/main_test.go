package vm_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/cli"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Roles of this test binary, beside those of the program: in a guest it is the program, and
// the tests that run there.
const (
	programRole = "program"
	waitRole    = "wait"
	holdRole    = "hold"
)

// insideCode is the exit code of the tests in the guest where none failed.
const insideCode = 42

func TestMain(m *testing.M) {
	roles := cli.Roles()
	roles[programRole] = cli.Main
	roles[waitRole] = waitForInterrupt
	roles[holdRole] = holdGuest
	selfexec.Dispatch(roles)
	code := m.Run()
	if os.Getenv(vm.Inside) != "" && code == 0 {
		code = insideCode
	}
	os.Exit(code)
}

// machine is the guest of the tests: two nodes, two NICs that share a bus of the first, and an
// interrupt, one on the second, and NICs with slots of their own; those for traffic have peers.
func machine() vm.Config {
	return vm.Config{
		CPUs: 4, Nodes: 2, Bridges: []vm.Bus{{Name: "near", Node: 0}, {Name: "far", Node: 1}},
		NICs: []vm.NIC{
			{Name: "srv0", Queues: 4, Segment: 1},
			{Name: "srv1", Queues: 4, Segment: 2, Bridge: "far"},
			{Name: "old0", Driver: "e1000"},
			{Name: "old1", Driver: "e100", Bridge: "near"},
			{Name: "old2", Driver: "e1000", Bridge: "near"},
			{Name: "pcie0", Driver: "e1000e"},
			{Name: "vmx0", Driver: "vmxnet3"},
			{Name: "cli0", Segment: 1},
			{Name: "cli1", Segment: 2},
		},
	}
}

// needGuest skips where no guest can be booted.
func needGuest(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: boots a guest")
	}
	if os.Getenv(vm.Inside) != "" {
		t.Skip("this is a guest")
	}
	if err := vm.Usable(machine()); host.IsNotSupported(err) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

var verdict = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): TestInside/(\S+)`)

// TestGuest boots a guest, runs TestInside there and tells its parts as parts of this test.
func TestGuest(t *testing.T) {
	needGuest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	out := filepath.Join(t.TempDir(), "out")
	o, err := vm.Run(ctx, machine(), vm.Command{
		Args: []string{"-test.v", "-test.run=^TestInside$", "-test.timeout=3m"}, Out: out, Stdout: &stdout, Stderr: &stderr,
		Files: map[string][]byte{"/root/given/file": []byte("from the host")},
	})
	if err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	t.Logf("guest: Linux %s on %s, up in %v\n%s%s", o.Kernel, o.Accel, o.Boot, &stdout, &stderr)
	if o.Code != insideCode {
		t.Errorf("exit code %d, want %d", o.Code, insideCode)
	}
	if b, err := os.ReadFile(filepath.Join(out, "deep", "file")); err != nil || string(b) != "to the host" {
		t.Errorf("the directory of results: %q, %v", b, err)
	}
	told := 0
	sc := bufio.NewScanner(&stdout)
	for sc.Scan() {
		m := verdict.FindStringSubmatch(sc.Text())
		if m == nil {
			continue
		}
		told++
		t.Run(strings.ReplaceAll(m[2], "/", ":"), func(t *testing.T) {
			switch m[1] {
			case "FAIL":
				t.Error("failed in the guest: see the log of TestGuest")
			case "SKIP":
				t.Skip("skipped in the guest: see the log of TestGuest")
			}
		})
	}
	if told < len(inside) {
		t.Errorf("the guest told of %d tests, there are %d or more", told, len(inside))
	}
}

// inside are the tests that run in the guest, in this order.
var inside = []struct {
	name string
	test func(*testing.T)
}{
	{"Files", insideFiles},
	{"Topo", insideTopo},
	{"Settings", insideSettings},
	{"Kill", insideKill},
	{"Hotplug", insideHotplug},
	{"Effective", insideEffective},
	{"Placement", insidePlacement},
}

// TestInside runs in a guest alone.
func TestInside(t *testing.T) {
	if os.Getenv(vm.Inside) == "" {
		t.Skip("runs in a guest: see TestGuest")
	}
	for _, p := range inside {
		t.Run(p.name, p.test)
	}
}

// insideFiles checks what came in and leaves what is to come out.
func insideFiles(t *testing.T) {
	b, err := os.ReadFile("/root/given/file")
	if err != nil || string(b) != "from the host" {
		t.Errorf("the given file: %q, %v", b, err)
	}
	if err := os.MkdirAll(filepath.Join(vm.ResultDir, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vm.ResultDir, "deep", "file"), []byte("to the host"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// program runs stackmeter in the guest and returns what it printed.
func program(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	out, errs, code := tryProgram(t, args...)
	if code != 0 {
		t.Fatalf("stackmeter %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func tryProgram(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), args, &out, &errs) // a process for each would take a second under TCG
	return out.String(), errs.String(), code
}

// killAt runs stackmeter and kills it when the content of a file changes; it reports whether it
// was still running then.
func killAt(t *testing.T, file string, args ...string) bool {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cmd := selfexec.Command(t.Context(), programRole)
	cmd.Args = append(cmd.Args, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-ended:
			return false
		case <-tick.C:
		}
		if now, err := os.ReadFile(file); err == nil && !bytes.Equal(now, before) {
			_ = cmd.Process.Kill()
			<-ended
			return cmd.ProcessState.ExitCode() == -1
		}
	}
}
