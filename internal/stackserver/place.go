// Package stackserver is small useful servers on package ustack: HTTP, echo, and a transparent
// proxy. They touch nothing that exists: unless told otherwise they make a TUN device of their
// own, on a subnet that nobody uses, which goes with the process.
package stackserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/attach"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/capture"
)

// Config says where a server's stack is.
type Config struct {
	Device    string // tun, tap, packet, xdp
	Interface string // packet, xdp: to attach to; tun, tap: the name of the new one
	// NetNS is the network namespace of the device, as a path of /proc or /run/netns; "": that of
	// the process. Sockets of the host stay in that of the process.
	NetNS     string
	Queues    int
	MTU       int // of a new interface; 0: 1500
	NoOffload bool
	// Address is the stack's, with the prefix of its subnet. Host is the kernel's address on a new
	// interface; invalid: the first other one of the subnet.
	Address netip.Prefix
	Host    netip.Addr
	Gateway netip.Addr     // of packet, xdp: the router to elsewhere
	Routes  []netip.Prefix // that lead into a new interface

	Any        bool // take packets to any address
	Techniques ustack.Techniques
	Capture    string // a pcapng file of all packets
}

// Place is a stack and the device that it is on.
type Place struct {
	*ustack.Stack
	Name  string // of the interface
	Index int    // of the interface
	Mode  string // of the device, where there are several ways
	Host  netip.Addr
	cfg   Config
	file  *os.File
	dump  *capture.Device
}

// Open makes the device and the stack.
func Open(cfg Config) (*Place, error) {
	p := &Place{cfg: cfg}
	var d *attach.Device
	if err := inside(cfg.NetNS, func() (err error) {
		d, err = p.attach()
		return err
	}); err != nil {
		return nil, err
	}
	p.Mode = d.Mode
	stack := ustack.Config{
		Device: d, Addresses: []netip.Prefix{cfg.Address}, AnyAddress: cfg.Any, Techniques: cfg.Techniques,
	}
	if cfg.Gateway.IsValid() {
		stack.Gateways = []netip.Addr{cfg.Gateway}
	}
	if cfg.Capture != "" {
		if err := p.record(&stack); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	st, err := ustack.New(stack)
	if err != nil {
		return nil, errors.Join(err, d.Close(), p.closeFile())
	}
	p.Stack = st
	return p, nil
}

// inside runs f in a network namespace.
func inside(path string, f func() error) error {
	if path == "" {
		return f()
	}
	if err := sysx.InNetNS(path, func(string) error { return f() }); err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	return nil
}

// attach opens the device and gives a new interface its address and routes.
func (p *Place) attach() (*attach.Device, error) {
	c := &p.cfg
	own := attach.Config{
		Device: c.Device, Interface: c.Interface, Queues: c.Queues, NoOffload: c.NoOffload, MTU: c.MTU, Addresses: []netip.Addr{c.Address.Addr()},
	}
	if !attach.Virtual(c.Device) {
		d, err := attach.Open(own)
		if err == nil {
			err = p.find(c.Interface)
		}
		return d, err
	}
	if !c.Host.IsValid() {
		c.Host = other(c.Address)
	}
	if !c.Host.IsValid() || !c.Address.Contains(c.Host) || c.Host == c.Address.Addr() {
		return nil, fmt.Errorf("the subnet of %v has no address for the host's end of the device: choose a longer subnet, as %v/24", c.Address, c.Address.Addr())
	}
	if err := unused(c.Address.Masked()); err != nil {
		return nil, err
	}
	d, err := attach.Open(own)
	if err != nil {
		return nil, err
	}
	if err := p.furnish(d.Info().Name); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// find notes the interface.
func (p *Place) find(name string) error {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.Name, p.Index = name, nic.Index
	return nil
}

// furnish gives a new interface its address and routes.
func (p *Place) furnish(name string) error {
	if err := p.find(name); err != nil {
		return err
	}
	p.Host = p.cfg.Host
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	bits := p.Host.BitLen()
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Host.AsSlice(), Mask: net.CIDRMask(p.cfg.Address.Bits(), bits)}}
	if p.Host.Is6() {
		addr.Flags = unix.IFA_F_NODAD // nobody else is on the link
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("give %s the address %v: %w", name, p.Host, err)
	}
	for _, r := range p.cfg.Routes {
		to := &netlink.Route{LinkIndex: p.Index, Dst: &net.IPNet{IP: r.Addr().AsSlice(), Mask: net.CIDRMask(r.Bits(), r.Addr().BitLen())}, Src: p.Host.AsSlice()}
		if r.Addr().Is4() == p.Host.Is6() {
			to.Src = nil
		}
		if err := netlink.RouteAdd(to); errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("route %v: there is one already, which is left as it is; name longer prefixes, such as the halves of it", r)
		} else if err != nil {
			return fmt.Errorf("route %v into %s: %w", r, name, err)
		}
	}
	return nil
}

// other is the first address of a subnet that is not its network's nor the given one.
func other(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().Next()
	if a == p.Addr() {
		a = a.Next()
	}
	return a
}

// unused refuses a subnet of which the kernel has a route already.
func unused(p netip.Prefix) error {
	family := netlink.FAMILY_V4
	if p.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	routes, err := netlink.RouteList(nil, family)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		have, ok := prefixOf(r.Dst, p.Addr())
		if !ok || have.Bits() == 0 || !have.Overlaps(p) {
			continue // a default route gives way to all others
		}
		name := fmt.Sprint("interface ", r.LinkIndex)
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			name = link.Attrs().Name
		}
		return fmt.Errorf("%v is in use: this host has a route to %v through %s; choose another subnet", p, have, name)
	}
	return nil
}

// prefixOf is where a route leads; nil is everywhere, in the family of like.
func prefixOf(n *net.IPNet, like netip.Addr) (netip.Prefix, bool) {
	if n == nil {
		return netip.PrefixFrom(like, 0).Masked(), true
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// record puts a capture around the device.
func (p *Place) record(c *ustack.Config) error {
	f, err := os.OpenFile(p.cfg.Capture, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	d, err := capture.New(c.Device, f, capture.Config{})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.file, p.dump, c.Device = f, d, d
	return nil
}

func (p *Place) closeFile() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// grace is how long peers have to get what was written before the end.
const grace = 2 * time.Second

// End ends the stack with some grace, and the device with it.
func (p *Place) End() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := p.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // those that are left were reset
	}
	if p.dump != nil {
		err = errors.Join(err, p.dump.Err())
	}
	return errors.Join(err, p.closeFile())
}
