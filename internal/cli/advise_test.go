package cli_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// runsVariable makes the long proof run so often for each way to spoil the rig: half a
// minute each on a quiet machine, which it wants.
const runsVariable = "STACKMETER_ADVISE_RUNS"

// TestAdviseNamesWhatWasPlanted spoils the rig and wants the planted cause named. With
// STACKMETER_ADVISE_RUNS=10 it does so ten times in each way, and ten times in none, and
// wants the planted cause first in 9 of 10, 80 % of a removable loss back in the median,
// and nothing to gain on the unspoilt rig.
func TestAdviseNamesWhatWasPlanted(t *testing.T) {
	needRoot(t)
	runs, err := strconv.Atoi(cmp.Or(os.Getenv(runsVariable), "0"))
	if err != nil || runs < 0 {
		t.Fatalf("%s=%q: want a number of runs", runsVariable, os.Getenv(runsVariable))
	}
	if runs == 0 {
		adviseOnce(t)
		return
	}
	t.Log("kind          named first  recovered: median (range)   loss: median  seconds: median (range)")
	for _, kind := range []string{"", "affinity", "gro-off", "small-mtu", "small-buffer", "rate-limit", "competitor"} {
		var recovered, loss, seconds []float64
		first, nothing := 0, 0
		for n := range runs {
			r := advice(t, kind)
			seconds = append(seconds, r.Seconds)
			if kind == "" {
				if r.NothingToGain() {
					nothing++
				} else {
					t.Logf("unspoilt, run %d: causes %s, advice %s", n+1, causes(r), advices(r))
				}
				continue
			}
			loss = append(loss, r.Proof.Loss)
			if r.Proof.NamedLead {
				first++
			} else {
				t.Logf("%s, run %d: causes %s", kind, n+1, causes(r))
			}
			if r.Proof.Removable {
				recovered = append(recovered, r.Proof.Recovery)
			}
		}
		if kind == "" {
			t.Logf("%-13s nothing to gain in %d of %d                            %s s", "unspoilt", nothing, runs, spread(seconds, 1))
			if nothing < runs {
				t.Errorf("unspoilt: nothing to gain in %d of %d runs only", nothing, runs)
			}
			continue
		}
		t.Logf("%-13s %2d of %2d     %-27s %-12s %s s", kind, first, runs, spread(recovered, 100), spread(loss, 100), spread(seconds, 1))
		if 10*first < 9*runs {
			t.Errorf("%s: named first in %d of %d runs", kind, first, runs)
		}
		slices.Sort(recovered)
		if len(recovered) > 0 && recovered[len(recovered)/2] < 0.8 {
			t.Errorf("%s: the first advice recovers %.0f %% of the loss", kind, 100*recovered[len(recovered)/2])
		}
	}
}

// adviseOnce runs on a machine that may be busy with other things, which are then a cause as
// well.
func adviseOnce(t *testing.T) {
	r := advice(t, "gro-off", "--budget", "20s")
	own := slices.DeleteFunc(slices.Clone(r.Causes), func(c advise.Cause) bool { return c.Name == advise.NotTheStack })
	if len(own) == 0 || own[0].Name != advise.GROOff {
		t.Errorf("causes %s, want %s", causes(r), advise.GROOff)
	}
	if !slices.ContainsFunc(r.Verdicts, func(v advise.Verdict) bool { return v.Name == "gro=on" && v.Alone != nil }) &&
		!slices.ContainsFunc(r.Untested, func(u advise.Untested) bool { return u.What == "gro=on" }) {
		t.Errorf("gro=on is neither measured nor said to be untested: %+v, %+v", r.Verdicts, r.Untested)
	}
	if r.Seconds > 30 { // the last step may take longer than those before

		t.Errorf("took %.0f s of a budget of 20 s", r.Seconds)
	}
}

// advice is that of the rig, spoilt in a way or not.
func advice(t *testing.T, kind string, more ...string) *advise.Report {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"advise", "--json", "--quiet", "--out", "r"}, more...)
	if kind != "" {
		args = append(args, "--spoil", kind)
	}
	p := prepare(t, dir, args...).start()
	p.wait(0, 3*time.Minute)
	asWas(t)
	var r advise.Report
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	d, err := result.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Trials) != r.Trials {
		t.Errorf("%d trials are on record, the report counts %d", len(d.Trials), r.Trials)
	}
	if _, err := os.Stat(filepath.Join(dir, "r", "advice.html")); err != nil {
		t.Error(err)
	}
	return &r
}

func causes(r *advise.Report) string {
	var out []string
	for _, c := range r.Causes {
		out = append(out, c.Name+" ("+c.Text+")")
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func advices(r *advise.Report) string {
	var out []string
	for _, a := range r.Advice {
		out = append(out, fmt.Sprintf("%s %+.1f %%", a.Name, 100*a.Gains.Throughput.Value))
	}
	return "[" + strings.Join(out, "; ") + "]"
}

// spread is a median with the range.
func spread(v []float64, scale float64) string {
	if len(v) == 0 {
		return "-"
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return fmt.Sprintf("%.0f (%.0f to %.0f)", scale*v[len(v)/2], scale*v[0], scale*v[len(v)-1])
}

// buffers reads net.ipv4.tcp_rmem in a host, or sets it.
func buffers(t *testing.T, pid int, set string) (now string) {
	t.Helper()
	err := sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", pid), func(string) error {
		const file = "/proc/sys/net/ipv4/tcp_rmem"
		if set != "" {
			return os.WriteFile(file, []byte(set), 0o644)
		}
		b, err := os.ReadFile(file)
		now = strings.Join(strings.Fields(string(b)), " ")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

const tinyBuffers = "4096 4096 8192"

// TestAdviseOnHosts wants the advice on real NICs in force with --apply alone, and put back by
// tune restore.
func TestAdviseOnHosts(t *testing.T) {
	server, dir, _ := twoHosts(t, "")
	buffers(t, server, tinyBuffers)
	args := []string{"advise", "--nic", "srv0", "--peer", "198.18.0.2", "--key-file", "key", "--budget", "90s", "--quiet"}
	p := inHost(prepare(t, dir, append(args, "--out", "r", "--apply")...), server).start()
	p.wait(0, 2*time.Minute)
	if now := buffers(t, server, ""); !strings.HasSuffix(now, " 67108864") {
		t.Errorf("tcp_rmem is %q after --apply\n%s%s", now, p.stdout.String(), p.stderr.String())
	}
	if !strings.Contains(p.stdout.String(), "the receive window") {
		t.Errorf("does not name the receive window:\n%s", p.stdout.String())
	}
	inHost(prepare(t, dir, "tune", "restore", "--last"), server).start().wait(0, time.Minute)
	if now := buffers(t, server, ""); now != tinyBuffers {
		t.Errorf("tcp_rmem is %q after tune restore, want %q", now, tinyBuffers)
	}
}

// TestAdviseInterrupted presses Ctrl-C while a remedy is in force on a real NIC's host, and wants it
// gone.
func TestAdviseInterrupted(t *testing.T) {
	server, dir, _ := twoHosts(t, "")
	buffers(t, server, tinyBuffers)
	before := nicState(t, server)
	p := inHost(prepare(t, dir, "advise", "--nic", "srv0", "--peer", "198.18.0.2", "--key-file", "key", "--out", "r"), server).start()
	until(t, "a remedy is in force", func() bool { return buffers(t, server, "") != tinyBuffers })
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.wait(1, 20*time.Second)
	if now := buffers(t, server, ""); now != tinyBuffers {
		t.Errorf("tcp_rmem is left at %q", now)
	}
	if after := nicState(t, server); after != before {
		t.Errorf("the NIC is left at %s, was %s", after, before)
	}
	if !strings.Contains(p.stderr.String(), "settings are as before") {
		t.Errorf("does not say that settings are as before:\n%s", p.stderr.String())
	}
}
