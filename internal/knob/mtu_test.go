package knob

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// TestSmallMTUKeepsIPv6 goes below the least MTU of IPv6 on a NIC with IPv6 sysctls of its own, with
// an address, and with a route.
func TestSmallMTUKeepsIPv6(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		t.Skipf("needs IPv6: %v", err)
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", append([]string{"-6"}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("ip -6 %v: %v: %s", args, err, out)
		}
	}
	inVeth(t, func(root host.Root) {
		hops := ipv6Conf(root, "sm0", "hop_limit")
		if err := hops.Write("77"); err != nil {
			t.Error(err)
			return
		}
		before := values(t, conf(root))
		holding(t, root, func(s *Set) { put(t, s, MTU(root, "sm0"), "576") })
		compare(t, before, values(t, conf(root)))
		reads(t, hops, "77")

		for _, c := range []struct{ what, is string }{
			{"address", "fd00::1/64"},
			{"route", "fd01::/64"},
		} {
			add, del := []string{"address", "add", c.is, "dev", "sm0", "nodad"}, []string{"address", "del", c.is, "dev", "sm0"}
			if c.what == "route" {
				add, del = []string{"route", "add", c.is, "dev", "sm0"}, []string{"route", "del", c.is, "dev", "sm0"}
			}
			ip(add...)
			holding(t, root, func(s *Set) {
				err := s.Put(t.Context(), MTU(root, "sm0"), "576")
				if !host.IsNotSupported(err) || !strings.Contains(err.Error(), c.what+" "+c.is) {
					t.Errorf("with %s %s: %v", c.what, c.is, err)
				}
				put(t, s, MTU(root, "sm0"), "1280")
			})
			ip(del...) // it is there still
		}
		holding(t, root, func(s *Set) { put(t, s, MTU(root, "sm0"), "576") })
	})
}

// conf are the NIC's sysctls of IPv6 that can be read.
func conf(root host.Root) []Setting {
	var out []Setting
	for _, k := range ipv6Confs(root, "sm0") {
		if _, err := k.Read(); err == nil {
			out = append(out, Setting{Knob: k})
		}
	}
	return out
}
