package xdp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// veth makes the link between the kernel and the stack.
func veth(tb testing.TB, space *netns.Space, mtu int, real bool) {
	tb.Helper()
	err := errors.Join(
		space.Veth("kernel", "ustack"),
		space.Up("kernel", mtu, devicetest.Kernel4, devicetest.Kernel6),
		space.Up("ustack", mtu),
	)
	if real {
		err = errors.Join(err, space.RealFrames("kernel"))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// device attaches to the stack's end of the link.
func device(tb testing.TB, space *netns.Space, cfg xdp.Config) *xdp.Device {
	tb.Helper()
	cfg.Interface = "ustack"
	var d *xdp.Device
	if err := space.Do(func() (err error) {
		d, err = xdp.New(cfg)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return d
}

var addresses = []netip.Addr{netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd09::2")}

func TestKernelAsPeer(t *testing.T) {
	for _, v := range []struct {
		mtu  int
		real bool
	}{{1500, true}, {1500, false}, {9000, true}} {
		t.Run(fmt.Sprintf("mtu=%d,real=%v", v.mtu, v.real), func(t *testing.T) {
			bytes := 8 << 20
			if testing.Short() || !v.real {
				bytes = 2 << 20
			}
			space := netns.New(t)
			veth(t, space, v.mtu, v.real)
			devicetest.Run(t, space, bytes, func(t *testing.T) ustack.Device {
				return device(t, space, xdp.Config{Addresses: addresses})
			})
		})
	}
}

func BenchmarkKernelAsPeer(b *testing.B) {
	for _, mtu := range []int{1500, 9000} {
		b.Run(fmt.Sprintf("mtu=%d", mtu), func(b *testing.B) {
			space := netns.New(b)
			veth(b, space, mtu, true)
			devicetest.Bench(b, space, func(b *testing.B) ustack.Device {
				return device(b, space, xdp.Config{Addresses: addresses})
			})
		})
	}
}

func prefixes() (out []netip.Prefix) {
	for _, a := range addresses {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}
