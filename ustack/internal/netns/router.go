package netns

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Give moves an interface of the namespace to another.
func (s *Space) Give(name string, to *Space) error {
	var fd int
	err := to.Do(func() (err error) {
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return s.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return netlink.LinkSetNsFd(link, fd)
	})
}

// SetMTU sets the MTU of an interface, in bytes.
func (s *Space) SetMTU(name string, mtu int) error {
	return s.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return netlink.LinkSetMTU(link, mtu)
	})
}

// Route leads a prefix to a router. advMSS is the MSS that the kernel's TCP announces to
// it, in bytes; 0: by the interface.
func (s *Space) Route(prefix, via string, advMSS int) error {
	return s.Do(func() error {
		p := netip.MustParsePrefix(prefix)
		return netlink.RouteAdd(&netlink.Route{
			Dst: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
			Gw:  net.ParseIP(via), AdvMSS: advMSS,
		})
	})
}

// Sysctl sets a setting of the namespace's network, by its path below /proc/sys/net.
func (s *Space) Sysctl(path, value string) error {
	return s.Do(func() error { return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0o644) })
}
