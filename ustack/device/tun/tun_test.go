package tun_test

import (
	"fmt"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

func TestKernelAsPeer(t *testing.T) {
	bytes := 8 << 20
	if testing.Short() {
		bytes = 2 << 20
	}
	for _, cfg := range []tun.Config{{}, {Offload: true}, {TAP: true}, {TAP: true, Offload: true}, {Queues: 2, Offload: true}} {
		t.Run(fmt.Sprintf("tap=%v,offload=%v,queues=%d", cfg.TAP, cfg.Offload, max(cfg.Queues, 1)), func(t *testing.T) {
			space := netns.New(t)
			devicetest.Run(t, space, bytes, func(t *testing.T) ustack.Device {
				return device(t, space, cfg)
			})
		})
	}
}

func BenchmarkKernelAsPeer(b *testing.B) {
	for _, cfg := range []tun.Config{{}, {Offload: true}} {
		b.Run(fmt.Sprintf("offload=%v", cfg.Offload), func(b *testing.B) {
			space := netns.New(b)
			devicetest.Bench(b, space, func(b *testing.B) ustack.Device { return device(b, space, cfg) })
		})
	}
}

// device makes an interface in the namespace.
func device(tb testing.TB, space *netns.Space, cfg tun.Config) *tun.Device {
	tb.Helper()
	var d *tun.Device
	if err := space.Do(func() (err error) {
		d, err = tun.New(cfg)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	if err := space.Up(d.Name(), 0, devicetest.Kernel4, devicetest.Kernel6); err != nil {
		tb.Fatal(err)
	}
	return d
}
