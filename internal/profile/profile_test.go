package profile

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/profile/flow"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// stream sends over loopback until the test ends.
func stream(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		l.Close()
		<-done
		<-done
	})
}

// TestRun profiles a stream over loopback with every pass.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: every pass is run")
	}
	stream(t)
	p, err := Run(t.Context(), Options{Duration: 3 * time.Second, PIDs: []int{os.Getpid()}, Frequency: 199})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	for _, l := range p.Limits {
		t.Logf("limit: %+v", l)
	}
	for _, w := range p.Warnings {
		t.Logf("warning: %s: %s", w.Code, w.Text)
	}
	want := len(passes)
	if p.Events == nil {
		want-- // a machine without PMU
		if !slices.ContainsFunc(p.Limits, func(l Limit) bool { return strings.Contains(l.What, "hardware event") && l.Why != "" }) {
			t.Errorf("nothing says why there are no hardware events: %+v", p.Limits)
		}
	}
	if len(p.Passes) != want {
		t.Fatalf("%d passes, want %d", len(p.Passes), want)
	}
	for _, x := range p.Passes {
		if x.Bytes == 0 || x.Seconds <= 0 || (x.Gain == nil) != (x.Name == PassOff) {
			t.Errorf("pass %+v", x)
		}
		if x.Gain != nil {
			t.Logf("%-7s %.2f s %6.2f Gb/s, %+.1f %% (%+.1f to %+.1f)", x.Name, x.Seconds, x.ThroughputBitsPerSecond/1e9, 100*x.Gain.Value, 100*x.Gain.Lo, 100*x.Gain.Hi)
		}
	}
	s := p.Sampling
	if s.Samples == 0 || s.Kernel == 0 || s.Kernel > s.Samples {
		t.Errorf("%d samples, %d of the kernel", s.Samples, s.Kernel)
	}
	if s.CPU.Closure < 0.995 || s.CPU.Closure > 1.005 {
		t.Errorf("the CPUs' time sums to %.4f of wall time", s.CPU.Closure)
	}
	if s.Other*50 > s.Kernel {
		t.Errorf("%d of %d kernel samples are other", s.Other, s.Kernel)
	}
	for _, want := range []stage.Stage{stage.TCP, stage.Copy} {
		if !slices.ContainsFunc(s.Stacks, func(x Stack) bool { return x.Stage == want }) {
			t.Errorf("no sample in stage %s", want)
		}
	}
	for _, c := range []*Counted{p.Light, p.Frame} {
		for _, a := range c.Agree {
			t.Logf("%s: counted %d, the kernel %d", a.What, a.Counted, a.Kernel)
		}
	}
	if !slices.ContainsFunc(p.Frame.NICs, func(n NIC) bool { return n.Name == "lo" && n.Received > 1000 }) {
		t.Errorf("loopback is not among %+v", p.Frame.NICs)
	}
	if !slices.ContainsFunc(p.Flows, func(f flow.Flow) bool { return f.PID == os.Getpid() && f.Bytes > 1<<20 }) { // others may have more
		t.Errorf("flows: %+v", p.Flows)
	}
}

func TestSchedule(t *testing.T) {
	names := []string{PassOff, PassLight, PassSample, PassFrame, PassFlow, PassLock}
	for _, tc := range []struct {
		d      time.Duration
		rounds int
	}{{MinDuration, 2}, {10 * time.Second, 7}, {time.Minute, 40}, {time.Hour, 40}} {
		plan := schedule(names, tc.d, 1)
		if got := plan[len(plan)-1].round + 1; got != tc.rounds {
			t.Errorf("%v: %d rounds, want %d", tc.d, got, tc.rounds)
		}
		var sum time.Duration
		seen := map[slice]bool{}
		for _, x := range plan {
			sum += x.length
			seen[slice{pass: x.pass, round: x.round}] = true
		}
		if sum > tc.d || sum < tc.d*99/100 || len(seen) != len(plan) || len(plan) != tc.rounds*len(names) {
			t.Errorf("%v: %d slices of %v", tc.d, len(plan), sum)
		}
	}
	if slices.Equal(schedule(names, time.Minute, 1), schedule(names, time.Minute, 2)) {
		t.Error("two seeds give one order")
	}
}
