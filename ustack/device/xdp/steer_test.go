package xdp_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// queues makes the link with several queues, the stack's end in another namespace.
func queues(t *testing.T, peer, own *netns.Space, n int) {
	t.Helper()
	var space *os.File
	err := own.Do(func() (err error) { space, err = os.Open("/proc/thread-self/ns/net"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer space.Close()
	err = peer.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "kernel", n, n
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "ustack", PeerNumRxQueues: uint32(n), PeerNumTxQueues: uint32(n), PeerNamespace: netlink.NsFd(int(space.Fd())),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func dialFrom(space *netns.Space, address string) (c net.Conn, err error) {
	err = space.Do(func() error { c, err = net.DialTimeout("tcp", address, 20*time.Second); return err })
	return c, err
}

// TestKernelKeepsItsTraffic has the kernel and the stack share an interface, each with
// its own addresses.
func TestKernelKeepsItsTraffic(t *testing.T) {
	peer, own := netns.New(t), netns.New(t)
	queues(t, peer, own, 1)
	if err := errors.Join(
		peer.Up("kernel", 0, devicetest.Kernel4, devicetest.Kernel6), peer.RealFrames("kernel"),
		own.Up("ustack", 0, "10.9.0.3/24", "fd09::3/64"),
	); err != nil {
		t.Fatal(err)
	}
	d := device(t, own, xdp.Config{Addresses: addresses})
	if m := d.Mode(); !m.Native || m.Pieces {
		t.Errorf("on veth: %v", m)
	}
	st := devicetest.Stack(t, d, ustack.Techniques{})
	if m := d.Mode(); m.ZeroCopy {
		t.Errorf("on veth: %v", m)
	}
	for _, a := range []struct{ stack, kernel string }{{"10.9.0.2", "10.9.0.3"}, {"fd09::2", "fd09::3"}} {
		var l net.Listener
		if err := own.Do(func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(a.kernel, "80")); return err }); err != nil {
			t.Fatal(err)
		}
		m, err := st.Listen("tcp", net.JoinHostPort(a.stack, "80"))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []net.Listener{l, m} {
			c, err := dialFrom(peer, l.Addr().String())
			if err != nil {
				t.Fatalf("%v: %v", l.Addr(), err)
			}
			got, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_, _, _ = c.Close(), got.Close(), l.Close()
		}
	}
}

// TestQueues serves an interface of two queues.
func TestQueues(t *testing.T) {
	peer, own := netns.New(t), netns.New(t)
	queues(t, peer, own, 2)
	if err := errors.Join(peer.Up("kernel", 0, devicetest.Kernel4), peer.RealFrames("kernel"), own.Up("ustack", 0)); err != nil {
		t.Fatal(err)
	}
	d := device(t, own, xdp.Config{Addresses: addresses})
	if n := d.Info().Queues; n != 2 {
		t.Fatalf("%d queues, want 2", n)
	}
	st := devicetest.Stack(t, d, ustack.Techniques{})
	l, err := st.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	for range 16 { // ports differ, and so do queues
		c, err := dialFrom(peer, "10.9.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), got.Close()
	}
	err = own.Do(func() error { _, err := xdp.New(xdp.Config{Interface: "ustack", Queues: 3}); return err })
	if err == nil || !strings.Contains(err.Error(), "2 receive queues") {
		t.Errorf("three of two queues: %v", err)
	}
	err = own.Do(func() error { _, err := xdp.New(xdp.Config{Interface: "ustack"}); return err })
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second program: %v", err)
	}
}

func TestZeroCopyIsNotClaimed(t *testing.T) {
	space := netns.New(t)
	veth(t, space, 1500, true)
	d := device(t, space, xdp.Config{Copying: xdp.CopyNever})
	_, err := ustack.New(ustack.Config{Device: d, Addresses: prefixes()})
	if !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("zero-copy on veth: %v", err)
	}
}
