// Package netns makes network namespaces for tests: the kernel's own stack in one is
// the peer of a stack under test. Linux only; it needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
package netns

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Space is a network namespace, and a thread in it. It goes with the test.
type Space struct {
	calls chan func()
}

// New makes a namespace, or skips the test where that is not allowed.
func New(t testing.TB) *Space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	s := &Space{calls: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("unshare: %w", err)
			return
		}
		ready <- nil
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(s.calls) })
	return s
}

// Do runs f on the thread of the namespace. f must not end the test.
func (s *Space) Do(f func() error) error {
	done := make(chan error, 1)
	s.calls <- func() { done <- f() }
	return <-done
}

// Up gives an interface addresses, without waiting for duplicates to be found, and
// brings it up.
func (s *Space) Up(name string, mtu int, addresses ...string) error {
	return s.Do(func() error {
		// No router solicitations or the like: nothing but the test speaks.
		for _, setting := range []string{"router_solicitations", "accept_dad"} {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+setting, []byte("0"), 0o644)
		}
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if mtu > 0 {
			if err := netlink.LinkSetMTU(link, mtu); err != nil {
				return fmt.Errorf("MTU of %s: %w", name, err)
			}
		}
		for _, a := range addresses {
			p := netip.MustParsePrefix(a)
			addr, err := netlink.ParseAddr(p.String())
			if err != nil {
				return err
			}
			addr.Flags = unix.IFA_F_NODAD
			if p.Addr().Is4() {
				addr.Flags = 0
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("address %s of %s: %w", a, name, err)
			}
		}
		return netlink.LinkSetUp(link)
	})
}

// Veth makes a pair of interfaces a and b in the namespace.
func (s *Space) Veth(a, b string) error {
	return s.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a}, PeerName: b})
	})
}

// RealFrames makes an interface send frames as they are on a wire: cut to the MTU, with
// whole checksums.
func (s *Space) RealFrames(name string) error {
	return s.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(name, map[string]bool{
			"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-generic-segmentation": false,
		})
	})
}
