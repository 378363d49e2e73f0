package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
)

// ustackNet is this house's stack, as the zero Config makes it.
type ustackNet struct{ *ustack.Stack }

func newUstack(o order) (network, error) {
	d, err := ustackDevice(o)
	if err != nil {
		return nil, err
	}
	st, err := ustack.New(ustack.Config{
		Device:    d,
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(stackAddr), prefixLen)},
	})
	return ustackNet{st}, err
}

func ustackDevice(o order) (d ustack.Device, err error) {
	switch o.Device {
	case "tun", "vnet":
		var t *tun.Device
		err = sysx.InNetNS(namespace(o.Peer), func(string) (err error) {
			if t, err = tun.New(tun.Config{Name: peerNIC, Offload: o.Device == "vnet"}); err != nil {
				return err
			}
			return layTUN(peerNIC, o.MTU)
		})
		if err == nil {
			t.SetMTU(o.MTU)
		}
		return t, err
	case "packet":
		return packet.New(packet.Config{Interface: stackNIC})
	case "ring":
		return packet.New(packet.Config{Interface: stackNIC, Ring: packet.Slots})
	case "xdp":
		return xdp.New(xdp.Config{Interface: stackNIC, Addresses: []netip.Addr{netip.MustParseAddr(stackAddr)}})
	}
	return nil, fmt.Errorf("ustack has no device called %q", o.Device)
}

func (n ustackNet) listen() (net.Listener, error) {
	return n.Listen("tcp", fmt.Sprintf("%s:%d", stackAddr, port))
}

func (n ustackNet) dial(ctx context.Context) (net.Conn, error) {
	return n.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", peerAddr, port))
}

func (n ustackNet) close() error { return n.Close() }
