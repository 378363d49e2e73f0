package knob

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// rewrite changes the only journal of dir.
func rewrite(t *testing.T, dir, pattern, with string) {
	t.Helper()
	paths := journals(t, dir)
	if len(paths) != 1 {
		t.Errorf("journals: %v", paths)
		return
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Error(err)
	}
	if !regexp.MustCompile(pattern).Match(b) {
		t.Errorf("no %s in:\n%s", pattern, b)
	}
	if err := os.WriteFile(paths[0], regexp.MustCompile(pattern).ReplaceAll(b, []byte(with)), 0o600); err != nil {
		t.Error(err)
	}
}

// undoOnly undoes the only kept journal of dir.
func undoOnly(t *testing.T, root host.Root, dir string) Report {
	t.Helper()
	all, err := KeptIn(dir)
	if err != nil || len(all) != 1 {
		t.Errorf("kept: %+v, %v", all, err)
		return Report{}
	}
	r, err := Undo(root, all[0])
	if err != nil || r.Err() != nil {
		t.Errorf("undo: %+v, %v", r, err)
	}
	return r
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	l, err := netlink.LinkByName(from)
	if err == nil {
		err = netlink.LinkSetDown(l) // kernels before 6.2 rename none that is up
	}
	if err == nil {
		err = netlink.LinkSetName(l, to)
	}
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		t.Errorf("rename %s: %v", from, err)
	}
}

// impostor makes a veth NIC of a name that another had, with the MTU that was set there.
func impostor(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumRxQueues, attrs.NumTxQueues = name, 1300, 2, 2
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "sm8"}); err != nil {
		t.Errorf("make %s: %v", name, err)
	}
}

// TestLaterNamespaceIsLeft puts back what was set in a namespace that has ended, from one that
// has its inode number and a NIC of the same name and value.
func TestLaterNamespaceIsLeft(t *testing.T) {
	for _, old := range []bool{false, true} {
		dir := t.TempDir()
		inVeth(t, func(root host.Root) { keep(t, root, dir, "first", "1400") })
		inVeth(t, func(root host.Root) {
			cookie, err := sysx.NetNSCookie()
			if err != nil {
				t.Error(err)
			}
			if cookie == 0 {
				return // this kernel tells them apart by nothing
			}
			here, err := sysx.NetNS()
			if err != nil {
				t.Error(err)
			}
			mtu := MTU(root, "sm0")
			if err := mtu.Write("1400"); err != nil {
				t.Error(err)
			}
			// The kernel mostly gives the number again by itself.
			rewrite(t, dir, `"netns":\d+`, `"netns":`+strconv.FormatUint(here, 10))
			if old {
				rewrite(t, dir, `,"netns_cookie":\d+,"ifindex":\d+`, "")
			}
			r := undoOnly(t, root, dir)
			if old { // all that such a journal knows fits
				reads(t, mtu, "1500")
				if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "inode number only") {
					t.Errorf("notes: %q", r.Notes)
				}
				return
			}
			reads(t, mtu, "1400")
			if len(r.Gone) != 1 || len(r.Restored)+len(r.Foreign)+len(r.Notes) > 0 {
				t.Errorf("report: %+v", r)
			}
		})
	}
}

// TestRenamedNICIsFollowed renames a NIC whose settings a killed process left, and gives its
// name to another.
func TestRenamedNICIsFollowed(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(root host.Root) {
		before := values(t, wanted(root, "sm0"))
		cmd := startVictim(t, dir)
		cmd.Process.Kill()
		cmd.Wait()
		rename(t, "sm0", "sm9")
		impostor(t, "sm0")
		other := values(t, nicsOwn(wanted(root, "sm0")))
		r, err := Recover(t.Context(), root, dir)
		if err != nil || r.Err() != nil || len(r.Foreign)+len(r.Gone) > 0 {
			t.Errorf("recover: %+v, %v", r, err)
		}
		after := map[string]string{}
		for k, v := range values(t, wanted(root, "sm9")) {
			after[strings.Replace(k, "sm9", "sm0", 1)] = v
		}
		compare(t, before, after)
		compare(t, other, values(t, nicsOwn(wanted(root, "sm0"))))
		for _, c := range r.Restored {
			if strings.HasPrefix(c.Target, "sm0") && !strings.HasSuffix(c.Target, " (now sm9)") {
				t.Errorf("restored %+v", c)
			}
		}
	})
}

// nicsOwn leaves out what is no NIC's.
func nicsOwn(all []Setting) []Setting {
	var out []Setting
	for _, s := range all {
		if i := s.Knob.Info(); nicOf(i.Kind, i.Key) != "" {
			out = append(out, s)
		}
	}
	return out
}

// TestOwnRenamedNICIsFollowed is the same of a set that is alive, and then of one whose NIC
// has gone for another.
func TestOwnRenamedNICIsFollowed(t *testing.T) {
	inVeth(t, func(root host.Root) {
		holding(t, root, func(s *Set) {
			put(t, s, MTU(root, "sm0"), "1300")
			rename(t, "sm0", "sm9")
			impostor(t, "sm0")
		})
		reads(t, MTU(root, "sm9"), "1500")
		reads(t, MTU(root, "sm0"), "1300")
		holding(t, root, func(s *Set) {
			put(t, s, MTU(root, "sm9"), "1300")
			l, err := netlink.LinkByName("sm9")
			if err == nil {
				err = netlink.LinkDel(l)
			}
			if err != nil {
				t.Error(err)
			}
			rename(t, "sm0", "sm9")
		})
		reads(t, MTU(root, "sm9"), "1300")
	})
}

// TestCommandFromOutside gives the command for a namespace without a name in the machine's own.
func TestCommandFromOutside(t *testing.T) {
	inVeth(t, func(root host.Root) {
		here, err := sysx.NetNS()
		if err != nil {
			t.Error(err)
		}
		holder := exec.Command("sleep", "60")
		if err := holder.Start(); err != nil {
			t.Error(err)
			return
		}
		defer holder.Wait()
		defer holder.Process.Kill()
		ports := Sysctl(root, "net.ipv4.ip_local_port_range")
		commands := []string{
			fromOutside(root, here, MTU(root, "sm0").Command("1400")),
			fromOutside(root, here, ports.Command("20000 30000")),
		}
		done := make(chan struct{})
		go func() { // on another thread, in the machine's namespace
			defer close(done)
			for _, c := range commands {
				if out, err := exec.Command("sh", "-euc", c).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", c, err, out)
				}
			}
		}()
		<-done
		reads(t, MTU(root, "sm0"), "1400")
		reads(t, ports, "20000 30000")
	})
}

// TestEarlierBootIsLeft has a kept journal of another boot whose new value is in force now.
func TestEarlierBootIsLeft(t *testing.T) {
	dir := t.TempDir()
	inVeth(t, func(root host.Root) {
		keep(t, root, dir, "before the boot", "1400")
		rewrite(t, dir, `"boot_id":"[^"]+"`, `"boot_id":"another"`)
		if r := undoOnly(t, root, dir); len(r.Gone) != 1 || len(r.Restored) > 0 {
			t.Errorf("report: %+v", r)
		}
		reads(t, MTU(root, "sm0"), "1400")
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
