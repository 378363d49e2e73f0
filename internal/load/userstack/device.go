package userstack

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
)

// device is how a stack is attached.
type device struct {
	ustack.Device
	mode string
}

// openDevice makes the device of a link, in the network namespace of the process.
func openDevice(s *load.StackSpec, l load.StackLink) (*device, error) {
	if err := free(l.Address.Addr()); err != nil {
		return nil, err
	}
	switch s.Device {
	case "tun", "tap":
		return openTUN(s, l)
	case "packet":
		d, err := packet.New(packet.Config{Interface: l.Interface, Offload: !s.NoOffload})
		if err != nil {
			return nil, missing("stack_device: packet", err)
		}
		return &device{Device: d}, one(s)
	}
	return nil, &host.NotSupportedError{What: "stack_device: " + s.Device, Reason: "this program was built without it", Mend: "use tun, tap or packet"}
}

// one refuses several queues of a device that has one.
func one(s *load.StackSpec) error {
	if s.Queues > 1 {
		return fmt.Errorf("stack_queues: %d, but the device %s has one: use tun or tap", s.Queues, s.Device)
	}
	return nil
}

// missing says what to do where the device can't be had.
func missing(what string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &host.NotSupportedError{What: what, Reason: err.Error(), Mend: "run as root, or on the built-in rig"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EAFNOSUPPORT):
		return &host.NotSupportedError{What: what, Reason: err.Error(), Mend: "load the kernel's module (modprobe tun, modprobe af_packet), or use another device"}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// free refuses an address that the kernel has: it would answer, too.
func free(a netip.Addr) error {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, have := range all {
		p, ok := have.(*net.IPNet)
		if b, valid := netip.AddrFromSlice(p.IP); ok && valid && b.Unmap() == a {
			return fmt.Errorf("stack_address: %v is an address of this host's kernel, which would answer too: name one that nobody has", a)
		}
	}
	return nil
}

// openTUN makes a TUN or TAP device and sends the stack's address into it. The interface, its
// route and its settings go with the process.
func openTUN(s *load.StackSpec, l load.StackLink) (_ *device, err error) {
	d, err := tun.New(tun.Config{TAP: s.Device == "tap", Queues: max(1, s.Queues), Offload: !s.NoOffload})
	if err != nil {
		return nil, missing("stack_device: "+s.Device, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	if l.Interface != "" {
		nic, err := net.InterfaceByName(l.Interface)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Interface, err)
		}
		if err := netlink.LinkSetMTU(link, nic.MTU); err != nil {
			return nil, fmt.Errorf("MTU %d of %s: %w", nic.MTU, d.Name(), err)
		}
		d.SetMTU(nic.MTU)
	}
	conf := "/proc/sys/net/ipv4/conf/" + d.Name()
	if l.Address.Addr().Is6() {
		conf = "/proc/sys/net/ipv6/conf/" + d.Name()
	}
	if s.Device == "tap" {
		// The stack looks for the rest of its subnet on its own link.
		proxy := "/proxy_arp"
		if l.Address.Addr().Is6() {
			proxy = "/proxy_ndp"
		}
		if err := put(conf+proxy, "1"); err != nil {
			return nil, err
		}
	}
	if err := put(conf+"/forwarding", "1"); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bring %s up: %w", d.Name(), err)
	}
	to := &net.IPNet{IP: l.Address.Addr().AsSlice(), Mask: net.CIDRMask(l.Address.Addr().BitLen(), l.Address.Addr().BitLen())}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}); err != nil {
		return nil, fmt.Errorf("route to %v through %s: %w", l.Address.Addr(), d.Name(), err)
	}
	if l.Interface != "" {
		if err := reach(s, l); err != nil {
			return nil, err
		}
	}
	return &device{Device: d}, nil
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
		return missing("stack_device: tun", err)
	}
	return nil
}
