package profile

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pprof "github.com/google/pprof/profile"

	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// captured is a profile of a TCP stream over loopback on a 2-CPU virtual machine (Linux
// 6.18, 199 Hz).
func captured(t testing.TB) *Profile {
	t.Helper()
	b, err := os.ReadFile("testdata/loopback.json")
	if err != nil {
		t.Fatal(err)
	}
	p := &Profile{}
	if err := json.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*math.Abs(want)+1e-12 {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestPartsSumToExactTime checks that every way to divide the samples adds up to the
// time that the CPUs were busy by exact accounting.
func TestPartsSumToExactTime(t *testing.T) {
	s := captured(t).Sampling
	for name, parts := range map[string][]Part{
		"stage": s.ByStage(), "context": s.ByContext(), "command": s.ByCommand(), "function": s.ByFunction(),
	} {
		sum, samples := 0.0, 0
		for _, p := range parts {
			sum += p.Seconds
			samples += p.Samples
			perCPU := 0.0
			for _, x := range p.PerCPU {
				perCPU += x
			}
			near(t, name+" "+p.Name+" by CPU", perCPU, p.Seconds)
			if name == "function" && p.Total < p.Seconds-1e-9 && p.Samples > 0 && s.Skid == 0 {
				t.Errorf("%s: %v in all, %v of its own", p.Name, p.Total, p.Seconds)
			}
		}
		near(t, name, sum, s.BusySeconds())
		if samples != s.Samples {
			t.Errorf("%s: %d samples, want %d", name, samples, s.Samples)
		}
	}
}

func TestFoldedAndPprofHoldEverySample(t *testing.T) {
	p := captured(t)
	var folded bytes.Buffer
	if err := p.Sampling.WriteFolded(&folded); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(folded.String()), "\n") {
		path, count, ok := strings.Cut(line, " ")
		var c int
		if err := json.Unmarshal([]byte(count), &c); !ok || err != nil || path == "" {
			t.Fatalf("%q", line)
		}
		n += c
	}
	if n != p.Sampling.Samples {
		t.Errorf("folded: %d samples, want %d", n, p.Sampling.Samples)
	}
	var b bytes.Buffer
	if err := p.WritePprof(&b); err != nil {
		t.Fatal(err)
	}
	read, err := pprof.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var samples, ns int64
	tcp := false
	for _, x := range read.Sample {
		samples += x.Value[0]
		ns += x.Value[1]
		tcp = tcp || x.Label["stage"][0] == string(stage.TCP)
	}
	if samples != int64(p.Sampling.Samples) || !tcp {
		t.Errorf("pprof: %d samples, want %d; stage tcp %v", samples, p.Sampling.Samples, tcp)
	}
	if want := p.Sampling.BusySeconds() * 1e9; math.Abs(float64(ns)-want) > 1e-4*want {
		t.Errorf("pprof: %d ns, want %.0f", ns, want)
	}
}

// TestGoToolPprofReadsIt asks Go's own tool.
func TestGoToolPprofReadsIt(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go tool pprof")
	}
	name := filepath.Join(t.TempDir(), "p.pb.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := captured(t).WritePprof(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-sample_index=cpu", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "tcp_sendmsg_locked") {
		t.Errorf("%s", out)
	}
}

func TestCountTreeDividesByItsOwnPass(t *testing.T) {
	p := captured(t)
	tree := p.CountTree()
	frame, light := p.FrameTotals(), p.LightTotals()
	if frame.Frames == 0 || frame.Packets == 0 || light.Frames == 0 || light.Packets == 0 {
		t.Fatalf("totals %+v, %+v", frame, light)
	}
	for _, r := range tree {
		switch r.Name {
		case "frames in":
			near(t, r.Name, r.PerFrame, 1)
		case "packets handed up (netif_receive_skb)":
			near(t, r.Name, r.PerPacket, 1)
			near(t, r.Name, r.PerMB, float64(r.Count)/(float64(p.pass(PassFrame).Bytes)/1e6))
		case "frames taken in (work)":
			near(t, r.Name, r.PerFrame, 1)
		case "NAPI polls":
			near(t, r.Name, r.PerMB, float64(r.Count)/(float64(p.pass(PassLight).Bytes)/1e6))
		}
	}
	if tree[0].Pass != PassLight || tree[len(tree)-1].Pass != PassLock {
		t.Errorf("the tree goes from %s to %s", tree[0].Pass, tree[len(tree)-1].Pass)
	}
}
