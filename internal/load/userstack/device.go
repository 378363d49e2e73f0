package userstack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/attach"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
)

// openDevice makes the device of a link, in the network namespace of the process. What it makes
// goes with the process.
func openDevice(s *load.StackSpec, l load.StackLink) (_ *attach.Device, err error) {
	c := attach.Config{Device: s.Device, Interface: l.Interface, Queues: s.Queues, NoOffload: s.NoOffload, Addresses: []netip.Addr{l.Address.Addr()}}
	if !s.Virtual() {
		return attach.Open(c)
	}
	c.Interface = ""
	if l.Interface != "" {
		nic, err := net.InterfaceByName(l.Interface)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Interface, err)
		}
		c.MTU = nic.MTU
	}
	d, err := attach.Open(c)
	if err != nil {
		return nil, err
	}
	if err := lead(s, l, d.Info().Name); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// lead sends what is for the stack into a TUN or TAP device, and what comes of it on.
func lead(s *load.StackSpec, l load.StackLink, name string) error {
	conf, proxy := "/proc/sys/net/ipv4/conf/"+name, "/proxy_arp"
	if l.Address.Addr().Is6() {
		conf, proxy = "/proc/sys/net/ipv6/conf/"+name, "/proxy_ndp"
	}
	if s.Device == "tap" {
		// The stack looks for the rest of its subnet on its own link.
		if err := put(conf+proxy, "1"); err != nil {
			return err
		}
	}
	if err := put(conf+"/forwarding", "1"); err != nil {
		return err
	}
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	bits := l.Address.Addr().BitLen()
	to := &net.IPNet{IP: l.Address.Addr().AsSlice(), Mask: net.CIDRMask(bits, bits)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: nic.Index, Dst: to, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("route to %v through %s: %w", l.Address.Addr(), name, err)
	}
	if l.Interface == "" {
		return nil
	}
	return reach(s, l)
}

// reach lets others on the link's subnet reach the stack through the kernel: it forwards, and
// answers for the address. Where the namespace is not the run's own, both are the host's to set,
// and only looked at.
func reach(s *load.StackSpec, l load.StackLink) error {
	forwarding := "/proc/sys/net/ipv4/conf/" + l.Interface + "/forwarding"
	if l.Address.Addr().Is6() {
		forwarding = "/proc/sys/net/ipv6/conf/" + l.Interface + "/forwarding"
	}
	if !l.Own {
		if b, err := os.ReadFile(forwarding); err != nil || len(b) == 0 || b[0] != '1' {
			return &host.NotSupportedError{
				What: "stack_device: " + s.Device, Reason: "the kernel of this host does not forward what comes to " + l.Interface,
				Mend: fmt.Sprintf("set it (echo 1 > %s) and let it answer for the stack (ip neigh add proxy %v dev %s), or use the device packet", forwarding, l.Address.Addr(), l.Interface),
			}
		}
		return nil
	}
	if err := put(forwarding, "1"); err != nil {
		return err
	}
	nic, err := net.InterfaceByName(l.Interface)
	if err != nil {
		return fmt.Errorf("%s: %w", l.Interface, err)
	}
	family := netlink.FAMILY_V4
	if l.Address.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: nic.Index, Family: family, Flags: netlink.NTF_PROXY, IP: l.Address.Addr().AsSlice()}); err != nil {
		return fmt.Errorf("answer for %v on %s: %w", l.Address.Addr(), l.Interface, err)
	}
	return nil
}

func put(file, value string) error {
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		return attach.Missing("tun", err)
	}
	return nil
}
