package stacklab

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The NICs of the namespace: the kernel sends by one, the stack receives by the other.
const (
	kernelNIC = "lab-kernel"
	stackNIC  = "lab-stack"
)

// Addresses of both ends, of the range that RFC 2544 sets apart for benchmarks.
var (
	kernelAddress = netip.MustParsePrefix("198.18.200.1/24")
	stackAddress  = netip.MustParsePrefix("198.18.200.101/24")
)

// space is a network namespace with a pair of NICs, and a thread in it. It goes with the
// thread.
type space struct {
	calls chan func()
}

func newSpace() (*space, error) {
	s := &space{calls: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("make a network namespace: %w (as root, or in a user namespace)", err)
			return
		}
		ready <- nil
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := s.do(wire); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *space) close() { close(s.calls) }

// do runs f on the thread of the namespace.
func (s *space) do(f func() error) error {
	done := make(chan error, 1)
	s.calls <- func() { done <- f() }
	return <-done
}

// wire makes the NICs. The kernel's sends frames as they are on a wire: cut to the MTU,
// with whole checksums.
func wire() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = kernelNIC
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: stackNIC}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make a veth pair: %w (does this kernel have veth?)", err)
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Change(kernelNIC, map[string]bool{
		"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-generic-segmentation": false,
	}); err != nil {
		return fmt.Errorf("offloads of %s: %w", kernelNIC, err)
	}
	for _, name := range []string{kernelNIC, stackNIC} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == kernelNIC {
			addr, err := netlink.ParseAddr(kernelAddress.String())
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("address of %s: %w", name, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// setMTU sets the MTU of both NICs.
func (s *space) setMTU(mtu int) error {
	return s.do(func() error {
		for _, name := range []string{kernelNIC, stackNIC} {
			link, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkSetMTU(link, mtu)
			}
			if err != nil {
				return fmt.Errorf("MTU of %s: %w", name, err)
			}
		}
		return nil
	})
}
