package tune

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Environment of a victim: the directory of the journals, the step at which it
// kills itself, and the profile.
const (
	victimVariable  = "TUNE_TEST_VICTIM"
	stepVariable    = "TUNE_TEST_STEP"
	profileVariable = "TUNE_TEST_PROFILE"
)

// mortal is a knob whose process kills itself at a step: each read, and before and
// after each write. Between an entry of the journal and the write is the step before the write.
type mortal struct {
	knob.Knob
	left *int
}

func (m mortal) step() {
	if *m.left--; *m.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (m mortal) Read() (string, error) {
	m.step()
	return m.Knob.Read()
}

func (m mortal) Write(v string) error {
	m.step()
	err := m.Knob.Write(v)
	m.step()
	return err
}

// victim commits a profile and kills itself at a step, or says after how many it came to its
// end.
func victim(dir string) {
	root := host.Live()
	sys, err := sysx.Sysfs()
	if err != nil {
		panic(err)
	}
	root.Sys = fmt.Sprintf("/proc/self/fd/%d", sys.Fd())
	first, err := strconv.Atoi(os.Getenv(stepVariable))
	if err != nil {
		panic(err)
	}
	left := first
	m := &Machine{Root: root, NICs: []string{"tn0", "tn1", "tn2"}}
	p, err := ParseProfile([]byte(os.Getenv(profileVariable)))
	if err != nil {
		panic(err)
	}
	plan, err := m.Plan(p)
	if err != nil {
		panic(err)
	}
	if plan, _, err = Possible(plan, true); err != nil {
		panic(err)
	}
	for n := range plan {
		d := *plan[n].Item.Definition
		resolve := d.resolve
		d.resolve = func(m *Machine, target, value string) ([]knob.Setting, error) {
			ss, err := resolve(m, target, value)
			for i := range ss {
				ss[i].Knob = mortal{ss[i].Knob, &left}
			}
			return ss, err
		}
		plan[n].Item.Definition = &d
	}
	if _, err := Commit(context.Background(), root, dir, "victim", plan); err != nil {
		panic(err)
	}
	fmt.Println("steps", first-left)
	sys.Close()
	os.Exit(0)
}

// few has a setting of each kind of knob.
const few = `version: 1
host: {net.ipv4.tcp_rmem: 4096 100000 5000000}
nics:
  tn0: {mtu: 1400, rx-channels: 2, tso: off, gro: on, gro-max-size: 40000, gro-flush-timeout: 20000, qdisc: pfifo, threaded-napi: on, napi-cpus: 0, rfs: 512, rps: all, xps: 0}
  tn2: {rx-frames: 8}
`

// TestKilledAtEveryStep kills a commitment at reads and writes of knobs, spread over its
// course, and compares all knobs after the recovery. STACKMETER_TEST_EVERY_STEP=1 takes every step, and every
// setting that these NICs have: about a minute.
func TestKilledAtEveryStep(t *testing.T) {
	profile, victims := few, 10
	switch {
	case os.Getenv("STACKMETER_TEST_EVERY_STEP") != "":
		profile, victims = whole, 1<<30
	case testing.Short():
		victims = 6
	}
	dir := t.TempDir()
	inVeth(t, func(m *Machine) {
		before := snapshot(m)
		total := stepsSaid(t, runVictim(t, dir, profile, 1<<30))
		after := snapshot(m)
		putBack(t, m.Root, dir)
		compare(t, "a whole commitment put back", before, snapshot(m))
		t.Logf("%d steps", total)
		restored, stride := 0, max(1, total/victims)
		for n := 1; n <= total; n += stride {
			if out := runVictim(t, dir, profile, n); out != "" {
				t.Errorf("step %d: the victim lived: %s", n, out)
			}
			r, err := knob.Recover(t.Context(), m.Root, dir)
			if err != nil || r.Err() != nil || len(r.Foreign) > 0 {
				t.Errorf("step %d: recover: %+v, %v", n, r, err)
			}
			restored += len(r.Restored)
			compare(t, fmt.Sprintf("killed at step %d of %d", n, total), before, snapshot(m))
			if t.Failed() {
				return
			}
		}
		if restored < total/4/stride {
			t.Errorf("only %d values were restored in %d steps: nothing was tested", restored, total/stride)
		}
		// A kill after the commitment: what is kept is in force.
		runVictim(t, dir, profile, total+1)
		if r, err := knob.Recover(t.Context(), m.Root, dir); err != nil || len(r.Restored) > 0 {
			t.Errorf("recover undid what was kept: %+v, %v", r, err)
		}
		compare(t, "after the commitment", after, snapshot(m))
		putBack(t, m.Root, dir)
		compare(t, "and put back", before, snapshot(m))
	})
}

func stepsSaid(t *testing.T, out string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(out, "steps "))
	if err != nil || n == 0 {
		t.Errorf("the victim said %q", out)
	}
	return n
}

// runVictim runs a victim in the calling thread's namespace to its end.
func runVictim(t *testing.T, dir, profile string, step int) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimVariable+"="+dir, stepVariable+"="+strconv.Itoa(step), profileVariable+"="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() != -1 { //nolint:errorlint // Output returns it bare
		t.Errorf("victim: %v\n%s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out))
}
