package knob

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// holding runs f with an empty set.
func holding(t *testing.T, root host.Root, f func(*Set)) {
	t.Helper()
	j, err := NewJournal(root, t.TempDir())
	if err != nil {
		t.Error(err)
		return
	}
	s := NewSet(root, j)
	f(s)
	if r := s.Restore(); r.Err() != nil || len(r.Foreign) > 0 {
		t.Errorf("restore: %+v", r)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, s *Set, k Knob, v string) {
	t.Helper()
	if err := s.Put(t.Context(), k, v); err != nil {
		t.Errorf("put: %v", err)
	}
}

func reads(t *testing.T, k Knob, want string) {
	t.Helper()
	if v, err := k.Read(); err != nil || v != want {
		t.Errorf("%s of %s reads %q, %v, want %q", k.Info().Name, k.Info().Target, v, err, want)
	}
}

func ethtoolOf(t *testing.T, nic, name string) Knob {
	t.Helper()
	k, err := Ethtool(nic, name)
	if err != nil {
		t.Error(err)
	}
	return k
}

func TestChannelsGiveSteeringBack(t *testing.T) {
	inVeth(t, func(root host.Root) {
		rps, flows := RPS(root, "sm0", 1), RFS(root, "sm0", 1)
		for k, v := range map[Knob]string{rps: "1", flows: "128"} {
			if err := k.Write(v); err != nil {
				t.Error(err)
			}
		}
		holding(t, root, func(s *Set) {
			put(t, s, ethtoolOf(t, "sm0", "rx-channels"), "1")
			if _, err := rps.Read(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("queue 1 is still there: %v", err)
			}
		})
		reads(t, rps, "1")
		reads(t, flows, "128")
		if n, err := EthtoolMax("sm0", "rx-channels"); err != nil || n != 2 {
			t.Errorf("at most %d channels, %v", n, err)
		}
	})
}

func TestSizesGiveTheIPv4OnesBack(t *testing.T) {
	inVeth(t, func(root host.Root) {
		all, err := LinkSize("sm0", "gso-max-size")
		if err != nil {
			t.Error(err)
		}
		v4, err := LinkSize("sm0", "gso-ipv4-max-size")
		if err != nil {
			t.Error(err)
		}
		if err := v4.Write("50000"); err != nil {
			t.Error(err)
		}
		holding(t, root, func(s *Set) {
			put(t, s, all, "20000")
			reads(t, v4, "20000")
		})
		reads(t, v4, "50000")
	})
}

func TestQdiscGivesTheQueuesLengthBack(t *testing.T) {
	inVeth(t, func(root host.Root) {
		length := NICNumber(root, "sm0", "tx_queue_len")
		if err := length.Write("0"); err != nil {
			t.Error(err)
		}
		holding(t, root, func(s *Set) {
			put(t, s, Qdisc("sm0"), "pfifo")
			reads(t, length, "1000")
		})
		reads(t, length, "0")
	})
}

func TestLackingParametersAreNotSupported(t *testing.T) {
	inVeth(t, func(host.Root) {
		for _, name := range []string{"rx-ring", "rx-usecs", "adaptive-rx", "combined-channels"} {
			if _, err := ethtoolOf(t, "sm0", name).Read(); !host.IsNotSupported(err) {
				t.Errorf("%s of a veth NIC: %v", name, err)
			}
		}
		if _, err := Ethtool("sm0", "rx-rings"); err == nil {
			t.Error("an unknown parameter was taken")
		}
		if _, err := ethtoolOf(t, "nosuch", "rx-channels").Read(); !errors.Is(err, unix.ENODEV) {
			t.Errorf("a NIC that is not there: %v", err)
		}
	})
}

// TestRoundedIsPutBack asks a tap for more frames than the 64 that it grants, and dies at
// every point of that.
func TestRoundedIsPutBack(t *testing.T) {
	inVeth(t, func(root host.Root) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tap0"
		if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
			t.Errorf("make a tap: %v", err)
			return
		}
		k := ethtoolOf(t, "tap0", "rx-frames")
		holding(t, root, func(s *Set) {
			var not *NotInForceError
			if err := s.Put(t.Context(), k, "100"); !errors.As(err, &not) || not.Got != "64" {
				t.Errorf("put: %v", err)
			}
		})
		reads(t, k, "0")

		here, err := sysx.NetNS()
		if err != nil {
			t.Error(err)
		}
		line := fmt.Sprintf(`{"type":"change","seq":1,"kind":"ethtool","key":"tap0/rx-frames","old":"0","new":"100","rounds":true,"netns":%d}`, here)
		for _, c := range []struct {
			lines []string
			want  string
		}{
			{[]string{line}, "0"}, // dead before it was read back: what is read is its doing
			{[]string{line, `{"type":"verified","seq":1,"old":"","new":""}`}, "64"}, // somebody has changed it since
		} {
			if err := k.Write("100"); err != nil {
				t.Error(err)
			}
			dir, _ := writeJournal(t, append([]string{`{"type":"owner"}`}, c.lines...)...)
			if r, err := Recover(t.Context(), root, dir); err != nil || r.Err() != nil {
				t.Errorf("recover: %+v, %v", r, err)
			}
			reads(t, k, c.want)
		}
	})
}

// TestCoalescing uses a tap, whose driver has rx-frames and nothing else.
func TestCoalescing(t *testing.T) {
	inVeth(t, func(root host.Root) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tap0"
		if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
			t.Errorf("make a tap: %v", err)
			return
		}
		k := ethtoolOf(t, "tap0", "rx-frames")
		reads(t, k, "0")
		holding(t, root, func(s *Set) {
			put(t, s, k, "8")
			if _, err := ethtoolOf(t, "tap0", "rx-usecs").Read(); !host.IsNotSupported(err) {
				t.Errorf("rx-usecs of a tap: %v", err)
			}
		})
		reads(t, k, "0")
	})
}

func TestQdiscByHandIsLeft(t *testing.T) {
	inVeth(t, func(root host.Root) {
		l, err := netlink.LinkByName("sm0")
		if err != nil {
			t.Error(err)
			return
		}
		byTC := &netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0),
		}, QdiscType: "pfifo"}
		if err := netlink.QdiscAdd(byTC); err != nil {
			t.Errorf("add a qdisc: %v", err)
			return
		}
		k := Qdisc("sm0")
		reads(t, k, "pfifo by hand")
		holding(t, root, func(s *Set) {
			err := s.Put(t.Context(), k, "bfifo")
			if !host.IsNotSupported(err) || !strings.Contains(err.Error(), "tc qdisc del dev sm0 root") {
				t.Errorf("replacing it: %v", err)
			}
		})
		reads(t, k, "pfifo by hand")
		if err := netlink.QdiscDel(byTC); err != nil {
			t.Error(err)
		}
		reads(t, k, "default")
		if err := k.Write("nosuch"); !host.IsNotSupported(err) {
			t.Errorf("a kind that the kernel lacks: %v", err)
		}
	})
}

// TestQdiscAfterQdisc goes from one kind to another, by the knob and by its command.
func TestQdiscAfterQdisc(t *testing.T) {
	inVeth(t, func(root host.Root) {
		k := Qdisc("sm0")
		holding(t, root, func(s *Set) {
			for _, kind := range []string{"pfifo", "bfifo", "pfifo", "bfifo"} {
				put(t, s, k, kind)
				reads(t, k, kind)
			}
		})
		reads(t, k, "default")
		for _, kind := range []string{"pfifo", "bfifo", "bfifo", "pfifo", "default", "bfifo"} {
			// As in the emitted scripts. A child of this thread is in its namespace.
			if out, err := exec.Command("sh", "-euc", k.Command(kind)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", k.Command(kind), err, out)
			}
			reads(t, k, kind)
		}
		if err := k.Write("default"); err != nil {
			t.Error(err)
		}
		reads(t, k, "default")
	})
}

func TestRoundedAsTheKernelDoes(t *testing.T) {
	for v, want := range map[string]string{"0": "0", "1": "1", "3": "4", "4096": "4096", "4097": "8192"} {
		if got, err := canonPower(v); err != nil || got != want {
			t.Errorf("%s gives %s, %v, want %s", v, got, err, want)
		}
	}
	inVeth(t, func(root host.Root) {
		k := RFS(root, "sm0", 0)
		for _, v := range []string{"3", "1000", "0"} {
			if err := k.Write(v); err != nil {
				t.Error(err)
			}
			want, err := k.Canonical(v)
			if err != nil {
				t.Error(err)
			}
			reads(t, k, want)
		}
	})
}
