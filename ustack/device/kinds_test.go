package device_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

const (
	stack4 = "10.9.0.2"
	stack6 = "fd09::2"
)

// kind is a device with the kernel at its other end.
type kind struct {
	name string
	tun  *tun.Config // or, over veth:
	nic  func() (ustack.Device, error)
	// uncut: the kernel leaves checksums and segments to the device.
	uncut bool
	mtu   int
}

func onPacket(cfg packet.Config) func() (ustack.Device, error) {
	cfg.Interface = "ustack"
	return func() (ustack.Device, error) { return packet.New(cfg) }
}

func onXDP(cfg xdp.Config) func() (ustack.Device, error) {
	cfg.Interface = "ustack"
	cfg.Addresses = []netip.Addr{netip.MustParseAddr(stack4), netip.MustParseAddr(stack6)}
	return func() (ustack.Device, error) { return xdp.New(cfg) }
}

var kinds = []kind{
	{name: "tun", tun: &tun.Config{}},
	{name: "tap", tun: &tun.Config{TAP: true}},
	{name: "tun+vnet", tun: &tun.Config{Offload: true}, uncut: true},
	{name: "packet", nic: onPacket(packet.Config{})},
	{name: "packet+vnet", nic: onPacket(packet.Config{Offload: true}), uncut: true},
	{name: "packet-slots", nic: onPacket(packet.Config{Ring: packet.Slots})},
	{name: "packet-blocks", nic: onPacket(packet.Config{Ring: packet.Blocks})},
	{name: "xdp", nic: onXDP(xdp.Config{})},
	{name: "xdp-9000", nic: onXDP(xdp.Config{}), mtu: 9000},
}

// open makes the device in a namespace. nic is the name of the stack's interface.
func (k kind) open(t *testing.T, space *netns.Space) (d ustack.Device, nic string) {
	t.Helper()
	nic = "ustack"
	var err error
	if k.tun != nil {
		cfg := *k.tun
		cfg.Name = nic
		err = space.Do(func() (err error) { d, err = tun.New(cfg); return err })
		if err == nil {
			err = space.Up(nic, k.mtu, devicetest.Kernel4, devicetest.Kernel6)
		}
	} else {
		err = errors.Join(
			space.Veth("kernel", nic),
			space.Up("kernel", k.mtu, devicetest.Kernel4, devicetest.Kernel6),
			space.Up(nic, k.mtu),
		)
		if !k.uncut {
			err = errors.Join(err, space.RealFrames("kernel"))
		}
		if err == nil {
			err = space.Do(func() (err error) { d, err = k.nic(); return err })
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, nic
}

// connect makes a connection from the kernel to the stack.
func connect(t *testing.T, space *netns.Space, st *ustack.Stack) (kernel, stack net.Conn) {
	t.Helper()
	l, err := st.Listen("tcp", net.JoinHostPort(stack4, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := space.Do(func() (err error) {
		kernel, err = (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if stack, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return kernel, stack
}
