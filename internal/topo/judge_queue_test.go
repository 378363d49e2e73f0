package topo

import (
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// TestRPSOverRSS advises against RPS only where RSS is known to reach the CPUs that RPS does.
func TestRPSOverRSS(t *testing.T) {
	nic := func(cpuOf func(queue int) int, rss *RSS) *NIC {
		n := &NIC{Name: "eth1", Node: -1, RSS: rss}
		for q := range 4 {
			n.Queues = append(n.Queues, Queue{Type: "rx", ID: q, IRQ: 30 + q, RPS: host.CPUs(0, 1, 2, 3)})
			n.Interrupts = append(n.Interrupts, IRQ{IRQ: 30 + q, Effective: host.CPUs(cpuOf(q))})
		}
		return n
	}
	unnamed := func(n *NIC) *NIC {
		for i := range n.Queues {
			n.Queues[i].IRQ = 0
		}
		return n
	}
	spread, first := func(q int) int { return q }, func(int) int { return 0 }
	even := &RSS{Entries: 128, Queues: map[int]int{0: 32, 1: 32, 2: 32, 3: 32}}
	for _, tc := range []struct {
		name     string
		n        *NIC
		severity string
		says     string
	}{
		{"RSS reaches all", nic(spread, even), Problem, "RSS reaches already"},
		{"all interrupts on one CPU", nic(first, even), Note, "take its interrupts (0) are too few"},
		{"RSS leads to one queue", nic(spread, &RSS{Entries: 128, Queues: map[int]int{0: 128}}), Note, "over 1 queue by RSS"},
		{"interrupts of queues not told", unnamed(nic(spread, even)), Note, "which are not told"},
		{"no table told", nic(spread, nil), Note, "has 4 receive queues, and RPS"},
	} {
		m := &Machine{}
		m.judgeRPS(tc.n)
		if len(m.Judgements) != 1 || m.Judgements[0].Severity != tc.severity || !strings.Contains(m.Judgements[0].Text, tc.says) {
			t.Errorf("%s: %+v", tc.name, m.Judgements)
		}
		if tc.severity == Note && strings.Contains(m.Judgements[0].Mend, "turn RPS off") {
			t.Errorf("%s: %s", tc.name, m.Judgements[0].Mend)
		}
	}
}

// TestRFSHalfSet judges nothing where the system's table can't be seen, as in most network namespaces.
func TestRFSHalfSet(t *testing.T) {
	n := &NIC{Name: "eth1", Queues: []Queue{{Type: "rx", RPSFlows: 4096}}}
	none, some := int64(0), int64(32768)
	for _, tc := range []struct {
		table *int64
		want  int
	}{{nil, 0}, {&none, 1}, {&some, 0}} {
		m := &Machine{RPSFlows: tc.table}
		m.judgeRFS(n)
		if len(m.Judgements) != tc.want {
			t.Errorf("%+v", m.Judgements)
		}
	}
}
