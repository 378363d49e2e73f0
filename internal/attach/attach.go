// Package attach opens the devices of package ustack by name, in the network namespace of
// the process, for programs whose user chooses one. What can't be had is an error that says
// what is missing and what to do about it.
package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
)

// Config says which device, and how.
type Config struct {
	Device    string       // tun, tap, packet, packet-ring, packet-blocks, xdp
	Interface string       // of one that is not made: the one to attach to; tun, tap: the name of the new one, "": the kernel picks it
	Queues    int          // 0: one
	NoOffload bool         // frames cross the device as they are on a wire
	MTU       int          // of a new interface; 0: 1500
	Addresses []netip.Addr // of the stack
}

// Device is an open device.
type Device struct {
	ustack.Device
	Mode string // how it works here, where there are several ways
}

// rings are where frames wait by the name of a device, and modes what that is called.
var (
	rings = map[string]packet.Ring{"packet": packet.NoRing, "packet-ring": packet.Slots, "packet-blocks": packet.Blocks}
	modes = map[string]string{"packet": "recvmmsg", "packet-ring": "TPACKET_V2", "packet-blocks": "TPACKET_V3, adds 1 to 2 ms"}
)

// Virtual reports whether a device makes an interface of its own.
func Virtual(device string) bool { return device == "tun" || device == "tap" }

// Open opens a device. An interface that it makes is up, has no address and goes with the device.
func Open(c Config) (*Device, error) {
	for _, a := range c.Addresses {
		if err := Free(a); err != nil {
			return nil, err
		}
	}
	switch c.Device {
	case "tun", "tap":
		d, err := tun.New(tun.Config{Name: c.Interface, TAP: c.Device == "tap", Queues: c.Queues, Offload: !c.NoOffload})
		if err != nil {
			return nil, Missing(c.Device, err)
		}
		if err := up(d, c.MTU); err != nil {
			return nil, errors.Join(Missing(c.Device, err), d.Close())
		}
		return &Device{Device: d}, nil
	case "packet", "packet-ring", "packet-blocks":
		d, err := packet.New(packet.Config{Interface: c.Interface, Queues: c.Queues, Offload: !c.NoOffload, Ring: rings[c.Device]})
		if err != nil {
			return nil, Missing(c.Device, err)
		}
		return &Device{Device: d, Mode: modes[c.Device]}, nil
	case "xdp":
		d, err := xdp.New(xdp.Config{Interface: c.Interface, Addresses: c.Addresses, Queues: max(1, c.Queues)})
		if err != nil {
			return nil, Missing(c.Device, err)
		}
		return &Device{Device: d, Mode: d.Mode().String()}, nil
	}
	return nil, &host.NotSupportedError{What: "device " + c.Device, Reason: "this program was built without it", Mend: "use tun, tap, packet, packet-ring, packet-blocks or xdp"}
}

// up brings a new interface up.
func up(d *tun.Device, mtu int) error {
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	if mtu > 0 {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("MTU %d of %s: %w", mtu, d.Name(), err)
		}
		d.SetMTU(mtu)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", d.Name(), err)
	}
	return nil
}

// Missing says what to do about an error of a device.
func Missing(device string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission) && device == "xdp": // user namespaces give no right to BPF
		return &host.NotSupportedError{What: "device xdp", Reason: err.Error(), Mend: "run as root, or use another device"}
	case errors.Is(err, fs.ErrPermission):
		return &host.NotSupportedError{What: "device " + device, Reason: err.Error(), Mend: "run as root, or in a user and network namespace of your own (unshare -Urn)"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EAFNOSUPPORT):
		return &host.NotSupportedError{What: "device " + device, Reason: err.Error(), Mend: "load the kernel's module (modprobe tun, modprobe af_packet), or use another device"}
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("device %s: %w: another program has it", device, err)
	}
	return fmt.Errorf("device %s: %w", device, err)
}

// Free refuses an address that the kernel has: it would answer, too.
func Free(a netip.Addr) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, nic := range all {
		addresses, err := nic.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, have := range addresses {
			if p, ok := have.(*net.IPNet); ok {
				if b, ok := netip.AddrFromSlice(p.IP); ok && b.Unmap() == a {
					return fmt.Errorf("address %v is in use: the kernel has it on %s and would answer too; name one that nobody has", a, nic.Name)
				}
			}
		}
	}
	return nil
}
