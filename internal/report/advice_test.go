package report

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/stats"
)

// TestAdvice writes an advice with everything in it, reads it back, and looks for each part in
// the text and on the page, where what came from outside is escaped.
func TestAdvice(t *testing.T) {
	gain := advise.Gains{Throughput: stats.Comparison{Estimate: stats.Estimate{Value: 0.5, Lo: 0.4, Hi: 0.6, Confidence: 0.95, N: 6}}}
	r := &advise.Report{
		Schema: advise.SchemaVersion, Rig: "veth", NICs: []string{"srv0"}, Trials: 40, Seconds: 30, Budget: 600,
		AsFound: advise.Evidence{Throughput: 1e10, CPUs: []advise.CPU{{CPU: 0, Busy: 1, SoftIRQ: 0.2}}, NICs: []advise.NIC{{Name: "srv0", Throughput: 1e10}}},
		Causes:  []advise.Cause{{Name: advise.GROOff, Title: "frames are not merged", Text: "GRO is off on <srv0>", Mend: "gro=on", Why: []advise.Figure{{What: "gro", Value: "off", From: "ethtool"}}}},
		Looked:  []advise.Check{{Name: advise.Idle, Title: "idle", Seen: "busy for 100 %"}},
		Advice: []advise.Advice{{
			Remedy: advise.Remedy{Name: "gro=on", Commands: []string{"stackmeter tune set gro=on --nic srv0"}}, Gains: gain,
			Latency: &advise.Latency{Before: advise.Percentiles{P50: 1e-5, P99: 2e-5, Count: 9}, After: advise.Percentiles{P50: 2e-5, P99: 4e-5, Count: 8}},
		}},
		Verdicts: []advise.Verdict{
			{Remedy: advise.Remedy{Name: "gro=on"}, Word: advise.Gained, Alone: &gain, Text: "gains much"},
			{Remedy: advise.Remedy{Name: "rps=all"}, Word: advise.Nothing, Text: "nothing seen"},
			{Remedy: advise.Remedy{Name: "qdisc=fq"}, Word: advise.NotKnown, Text: "too much noise"},
		},
		Screened: []advise.Screened{{Name: "rps=all", Throughput: -0.01, Noise: 0.02}},
		Untested: []advise.Untested{{What: "qdisc", Why: "no time"}},
		Proof:    &advise.Proof{Kind: "gro-off", Planted: "GRO is off", NamedLead: true, Removable: true, Remedy: "gro=on", Unspoilt: 2e10, Spoilt: 1e10, Advised: 1.9e10, Loss: 0.5, Recovery: 0.9},
		Rules:    advise.RulesInWords(),
	}
	dir := t.TempDir()
	page, err := WriteAdvice(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ReadAdvice(dir); err != nil || len(back.Advice) != 1 || back.Advice[0].Name != "gro=on" {
		t.Errorf("read back: %+v, %v", back, err)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := AdviceText(&text, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"frames are not merged", "stackmeter tune set gro=on --nic srv0", "nothing seen", "too much noise", "no time", "busy for 100 %", "20 us", "90.0 %"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the text lacks %q:\n%s", part, text.String())
		}
		if !strings.Contains(string(html), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(string(html), "<srv0>") || strings.Count(string(html), "<svg") != 3 {
		t.Errorf("the page has %d pictures, want 3, or takes text for tags", strings.Count(string(html), "<svg"))
	}
	nothing := &advise.Report{Causes: []advise.Cause{{Name: advise.CopyBound}}}
	if got := verdict(nothing); !strings.HasPrefix(got, "Nothing to gain") {
		t.Errorf("a cause that nothing mends: %q", got)
	}
	unknown := &advise.Report{Verdicts: []advise.Verdict{{Remedy: advise.Remedy{Name: "rps=all"}, Word: advise.NotKnown}}}
	if got := verdict(unknown); !strings.Contains(got, "not known") || !strings.Contains(got, "rps=all") {
		t.Errorf("a remedy of which nothing is known: %q", got)
	}
}
