package tune

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// emitted gives the plan of a profile as form on a machine where its threads exist, and
// leaves the machine as it was.
func emitted(t *testing.T, m *Machine, plan []Want, form func() error) {
	t.Helper()
	dir := t.TempDir()
	before := snapshot(m)
	if _, err := Commit(t.Context(), m.Root, dir, "emit", plan); err != nil {
		t.Errorf("commit: %v", err)
	}
	if err := form(); err != nil {
		t.Errorf("emit: %v", err)
	}
	putBack(t, m.Root, dir)
	compare(t, "putting back", before, snapshot(m))
}

// shell runs a script in the calling thread's network namespace, with a sysfs of that namespace.
func shell(t *testing.T, path string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", `mount -t sysfs none /sys && exec "$@"`, "sh", "/bin/sh", path}, args...)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		b, _ := os.ReadFile(path)
		t.Errorf("%v: %s\n%s", err, said.String(), b)
	}
}

func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("runs the scripts that are emitted, which use %s: %v", tool, err)
		}
	}
}

// forThisIP leaves out of a profile what the ip(8) here is too old for.
func forThisIP(t *testing.T, profile string) string {
	t.Helper()
	help, _ := exec.Command("ip", "link", "help").CombinedOutput()
	if strings.Contains(string(help), "gso_ipv4_max_size") {
		return profile
	}
	t.Log("this ip(8) has no gso_ipv4_max_size (iproute2 6.3): these two are not emitted")
	return regexp.MustCompile(`  g[sr]o-ipv4-max-size: \d+\n`).ReplaceAllString(profile, "")
}

func TestScriptDoesWhatApplyDoes(t *testing.T) {
	needTools(t, "unshare", "ethtool", "ip", "tc", "taskset")
	path := filepath.Join(t.TempDir(), "script")
	inVeth(t, func(m *Machine) {
		plan := have(t, parse(t, m, forThisIP(t, whole)))
		if _, err := Script("whole", plan); err == nil || !strings.Contains(err.Error(), "apply the profile once") {
			t.Errorf("a script of threads that don't exist: %v", err)
		}
		emitted(t, m, plan, func() error {
			text, err := Script("whole", plan)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(text), 0o755)
		})
		shell(t, path)
		for _, s := range States(plan) {
			if s.Err != nil || s.Differs() {
				t.Errorf("%s of %s: wanted %q, the script made it %q, %v", s.Item.Name, s.Item.Target, s.Value, s.Now, s.Err)
			}
		}
	})
}

func TestTunedScriptStartsAndStops(t *testing.T) {
	needTools(t, "unshare", "ethtool", "ip", "tc")
	path := filepath.Join(t.TempDir(), "script.sh")
	inVeth(t, func(m *Machine) {
		// A NIC without a queue keeps the length that a qdisc gave it, which no script puts back.
		m.NICs = []string{"tn0", "tn2"}
		plan := parse(t, m, "version: 1\nhost: {net.core.somaxconn: 999}\nnic: {mtu: 1400, qdisc: pfifo, gso-max-size: 30000, rps: all}\nnics: {tn2: {rx-frames: 4}}")
		before := snapshot(m)
		conf, script, err := Tuned("some\nname", plan)
		if err != nil {
			t.Error(err)
		}
		if want := "[main]\nsummary=Profile of settings some name for tn0, tn2\n\n[sysctl]\nnet.core.somaxconn=999\n\n[script]\nscript=${i:PROFILE_DIR}/script.sh\n"; conf != want {
			t.Errorf("tuned.conf:\n%s\nwant\n%s", conf, want)
		}
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Error(err)
		}
		shell(t, path, "start")
		for _, s := range States(plan) {
			if s.Item.Scope != Host && s.Differs() {
				t.Errorf("%s of %s: wanted %q, the script made it %q", s.Item.Name, s.Item.Target, s.Value, s.Now)
			}
		}
		shell(t, path, "stop")
		compare(t, "stopping", before, snapshot(m))
		conf, script, err = Tuned("files", parse(t, m, "version: 1\nnics: {tn2: {mtu: 1400, rps: 0}}"))
		if err != nil || script != "" || !strings.Contains(conf, "[sysfs]\n/sys/class/net/tn2/mtu=1400\n/sys/class/net/tn2/queues/rx-0/rps_cpus=1\n") {
			t.Errorf("a profile of files: %v\n%s%s", err, conf, script)
		}
	})
}

func TestUnitIsOneToSystemd(t *testing.T) {
	needTools(t, "systemd-analyze")
	path := filepath.Join(t.TempDir(), "lab.service")
	inVeth(t, func(m *Machine) {
		plan := have(t, parse(t, m, whole))
		emitted(t, m, plan, func() error {
			text, err := Unit("100 % whole", plan)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(text), 0o644)
		})
	})
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if text := string(out); err != nil || strings.Contains(text, "lab.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, text)
	}
}

// TestUnitEscapes holds the escapes against those of systemd.service(5) by undoing them.
func TestUnitEscapes(t *testing.T) {
	const hard = `echo "$HOME" '\(a\)$' 50% "\\"`
	undo := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `%%`, `%`, `$$`, `$`)
	if got := undo.Replace(unitText(hard)); got != hard {
		t.Errorf("%q comes back as %q", hard, got)
	}
	if got := unitName("br-lan.100"); got != `br\x2dlan.100` {
		t.Errorf("unit of br-lan.100: %s", got)
	}
}

func TestProcessesByNumberAreNotEmitted(t *testing.T) {
	s := []knob.Setting{{Value: "0"}}
	if _, err := affinityScript(nil, "123", s); err == nil {
		t.Error("a number was emitted")
	}
	if lines, err := affinityScript(nil, "nginx", s); err != nil || len(lines) != 1 || !strings.Contains(lines[0], "pgrep -x 'nginx'") {
		t.Errorf("%v, %v", lines, err)
	}
	s = append(s, knob.Setting{Value: "1"})
	if lines, err := affinityScript(nil, "nginx", s); !host.IsNotSupported(err) {
		t.Errorf("one command for threads with affinities of their own: %v, %v", lines, err)
	}
}

// TestScriptsFailWhereNothingMatches runs what looks interrupts and processes up by names that nothing has.
func TestScriptsFailWhereNothingMatches(t *testing.T) {
	lines, err := affinityScript(nil, "no-such-process", []knob.Setting{{Value: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, irqLine("no-such-interrupt", "0"))
	for _, l := range lines {
		out, err := exec.Command("/bin/sh", "-ec", l).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no-such-") {
			t.Errorf("%s: %v, %q", l, err, out)
		}
	}
}

// shellHere runs a script where the test runs.
func shellHere(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command("/bin/sh", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
