package agent

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// inNetNS runs f on a thread in a network namespace of its own with the veth NICs ag0 and ag1.
func inNetNS(t *testing.T, f func(root host.Root)) {
	t.Helper()
	if uid, err := host.Live().OutsideUID(); err != nil || uid != 0 {
		t.Skip("needs root of the machine: makes a network namespace and sets RPS, which no user namespace may")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread and its namespace end here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		sys, err := sysx.Sysfs()
		if err != nil {
			t.Error(err)
			return
		}
		defer sys.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "ag0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "ag1"}); err != nil {
			t.Errorf("make a veth pair: %v", err)
			return
		}
		f(host.Root{Proc: "/proc", Sys: fmt.Sprintf("/proc/self/fd/%d", sys.Fd())})
	}()
	<-done
}

func TestTuning(t *testing.T) {
	inNetNS(t, func(root host.Root) {
		s := newSession(Options{Name: "server", AllowSettings: true})
		s.root = root
		reads := func() map[string]string {
			all, err := s.tunables(t.Context(), TunablesOf{NICs: []string{"ag0"}})
			if err != nil {
				t.Error(err)
			}
			out := map[string]string{}
			for _, x := range all {
				out[x.Setting] = x.Value + x.NotSupported
				if x.Setting == "gro" && (x.Target != "ag0" || fmt.Sprint(x.Candidates) != "[on]") {
					t.Errorf("%+v", x)
				}
			}
			return out
		}
		before := reads()
		nics := []NICSettings{{Name: "ag0", MTU: 1400}}
		out, err := s.configure(t.Context(), Configure{NICs: nics, Tune: []Tuning{
			{Setting: "rps", Target: "ag0", Value: "all"},
			{Setting: "rfs", Target: "ag0", Value: "512"},
			{Setting: "net.ipv4.tcp_rmem", Value: "4096 100000 5000000"},
		}})
		if err != nil || len(out.Knobs) != 4 {
			t.Errorf("%+v, %v", out, err)
		}
		if err := s.unplace(); err != nil { // what configure set stays
			t.Error(err)
		}
		if now := reads(); now["rfs"] != "512" || now["mtu"] != "1400" || now["net.ipv4.tcp_rmem"] != "4096 100000 5000000" {
			t.Errorf("in force: %v", now)
		}
		for value, want := range map[Tuning]string{
			{Setting: "rps", Target: "ag1", Value: "all"}:     "was not handed over",
			{Setting: "rbs", Target: "ag0", Value: "all"}:     "unknown setting",
			{Setting: "rps", Target: "ag0", Value: "some"}:    "want off, all, local",
			{Setting: "rx-ring", Target: "ag0", Value: "512"}: "not supported here",
		} {
			if _, err := s.configure(t.Context(), Configure{NICs: nics, Tune: []Tuning{value}}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", value, err, want)
			}
		}
		if _, err := s.configure(t.Context(), Configure{NICs: nics}); err != nil {
			t.Error(err)
		}
		if now := reads(); now["rfs"] != before["rfs"] || now["mtu"] != "1400" {
			t.Errorf("after a configuration without them: %v", now)
		}
		if err := s.restore(); err != nil {
			t.Error(err)
		}
		for k, v := range reads() {
			if before[k] != v {
				t.Errorf("%s was %q, is %q", k, before[k], v)
			}
		}
	})
	if _, err := newSession(Options{}).tunables(t.Context(), TunablesOf{}); err == nil {
		t.Error("an agent that lends load only told its settings")
	}
}
